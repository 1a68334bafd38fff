"""State dicts of other programs, and pickles that would do something."""

import functools
import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jaxae import networks
from jaxae.torch_weights import files
from tests.stress.fuzz.bench import TEXT, Bench, cases, damage
from tests.torch_weights.state_dicts import named, sequential, state_dict_of


@functools.cache
def original(network: str) -> dict[str, np.ndarray]:
    """A state dict of random weights: made before Hypothesis draws, which minds what else is random."""
    return state_dict_of(network)


@st.composite
def state_dicts(draw) -> dict[str, np.ndarray]:
    """That of a network, under other names, in another order, with some of its arrays changed."""
    whole = dict(original(draw(st.sampled_from(["mnist", "cifar"]))))
    form = draw(st.sampled_from(["own", "sequential", "named", "renamed"]))
    if form == "sequential":
        whole = sequential(whole)
    elif form == "named":
        whole = named(whole, " ".join(f"layer{number}" for number in range(len(whole) // 2)))
    elif form == "renamed":
        key = draw(st.sampled_from(sorted(whole)))
        whole[draw(TEXT) or "x"] = whole.pop(key)
    if draw(st.booleans()):
        key = draw(st.sampled_from(sorted(whole)))
        array = whole[key]
        changes = [array[:-1], array.astype(np.float64), array.astype(np.int32), array * np.float32(np.nan)]
        changes += [array.swapaxes(0, -1), np.zeros((0,), np.float32), np.float32(1)]
        whole[key] = np.asarray(changes[draw(st.integers(0, len(changes) - 1))])
    if draw(st.booleans()):
        keys = draw(st.permutations(sorted(whole)))
        whole = {key: whole[key] for key in keys}
    if draw(st.booleans()):
        whole.pop(draw(st.sampled_from(sorted(whole))))
    return whole


def as_file(state_dict: dict[str, np.ndarray], suffix: str) -> bytes:
    """The content of a file of `suffix` that another program might have written."""
    return files.state_dict_bytes({key: np.ascontiguousarray(array) for key, array in state_dict.items()}, suffix)


def weights(bench: Bench, count: int) -> None:
    """What is taken for a network's weights is finite and has the network's shapes."""
    shapes = {network: [array.shape for array in original(network).values()] for network in ("mnist", "cifar")}
    with bench.kind("state dicts") as own:

        @cases(count)
        @given(st.data())
        def check(data):
            suffix = data.draw(st.sampled_from([".npz", ".safetensors", ".pt", ".bin"]))
            content = as_file(data.draw(state_dicts()), suffix)
            path, network = own / f"weights{suffix}", data.draw(st.sampled_from(["mnist", "cifar"]))
            path.write_bytes(data.draw(st.just(content) | damage(content)))
            read = bench.read(files.read_weights, path, networks.build(network, "xla"))
            if read is not None:
                assert [array.shape for array in read.values()] == shapes[network]
                assert all(np.isfinite(array).all() for array in read.values())

        check()
        assert bench.seen["read"] > 0 < bench.seen["refused"]


class Bomb:
    """Unpickled, it writes a file."""

    def __init__(self, function: str, target: Path):
        self.function, self.target = function, target

    def __reduce__(self):
        written = f"open({str(self.target)!r}, 'w').close()"
        return {
            "exec": (exec, (written,)),
            "eval": (eval, (f"__import__('pathlib').Path({str(self.target)!r}).touch()",)),
            "system": (os.system, (f"touch '{self.target}'",)),
            "open": (open, (str(self.target), "w")),
        }[self.function]


def zipped(content: bytes) -> bytes:
    """A pickle as PyTorch packs it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return buffer.getvalue()


@st.composite
def pickles(draw, target: Path) -> bytes:
    """A pickle with a `Bomb` somewhere in it."""
    bomb = Bomb(draw(st.sampled_from(["exec", "eval", "system", "open"])), target)
    holder = draw(st.sampled_from([bomb, {"a": bomb}, [bomb], {"a.weight": 1, "b": (bomb, 2)}, {b"data": bomb}]))
    return pickle.dumps(holder, protocol=draw(st.integers(0, pickle.HIGHEST_PROTOCOL)))


def malicious(bench: Bench, count: int) -> None:
    """Pickles that run something as they are read: refused, and nothing has run."""
    with bench.kind("pickles") as own:
        target = own / "has-run"

        @cases(count)
        @given(pickles(target), st.booleans(), st.sampled_from([".pt", ".pth", ".bin", ".ckpt", ".npz"]))
        def check(content, packed, suffix):
            path = own / f"weights{suffix}"
            path.write_bytes(zipped(content) if packed else content)
            assert bench.read(files.read_weights, path, networks.build("mnist", "xla")) is None
            assert not target.exists(), "a pickle has run"

        check()
