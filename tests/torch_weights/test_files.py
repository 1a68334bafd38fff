"""State dicts in files of every format: whole, wrapped, broken, and made to run code."""

import argparse
import io
import json
import os
import pickle
import struct
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from jaxae import networks
from jaxae.errors import UserError
from jaxae.torch_weights import files
from tests.torch_weights.state_dicts import named, state_dict_of


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[torch]'")


@pytest.fixture
def tensors(torch):
    """CIFAR's state dict as tensors."""
    return {key: torch.from_numpy(array) for key, array in state_dict_of("cifar").items()}


def refusal(path: Path, read=files.read_state_dict) -> str:
    """The one line with which `path` is refused; it names the file."""
    with pytest.raises(UserError) as refused:
        read(path)
    message = str(refused.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def assert_cifars(path: Path) -> None:
    """The file holds CIFAR's state dict, whatever is around it and whatever its keys are called."""
    read = files.read_weights(path, networks.build("cifar", "xla"))
    for key, array in state_dict_of("cifar").items():
        np.testing.assert_array_equal(read[key], array)


@pytest.mark.parametrize("suffix", files.SUFFIXES)
@pytest.mark.parametrize("model", ["cifar", "mnist"])
def test_weights_come_back_exactly(tmp_path, request, model, suffix):
    if suffix in (".pt", ".pth", ".bin"):
        request.getfixturevalue("torch")
    state_dict, path = state_dict_of(model), tmp_path / f"model{suffix}"
    path.write_bytes(files.state_dict_bytes(state_dict, suffix))
    read = files.read_state_dict(path)
    if suffix != ".safetensors":
        assert list(read) == list(state_dict)
    assert read.keys() == state_dict.keys()
    for key, array in state_dict.items():
        np.testing.assert_array_equal(read[key], array)
        assert read[key].dtype == np.float32


def test_npz_is_numpys(tmp_path):
    state_dict, path = state_dict_of("mnist"), tmp_path / "model.npz"
    path.write_bytes(files.state_dict_bytes(state_dict, ".npz"))
    with np.load(path, allow_pickle=False) as content:
        assert content.files == list(state_dict)
        np.testing.assert_array_equal(content["decoder.0.weight"], state_dict["decoder.0.weight"])


def safetensors_bytes(dtype: str, shape: list[int], data: bytes) -> bytes:
    """A file of one tensor, as the format's description says: the header's length, the header in JSON, the numbers."""
    header = json.dumps({"a.weight": {"dtype": dtype, "shape": shape, "data_offsets": [0, len(data)]}}).encode()
    return struct.pack("<Q", len(header)) + header + data


@pytest.mark.parametrize(("dtype", "data"), [
    ("BF16", struct.pack("<2H", 0x3FC0, 0xC000)),  # the upper 16 bits of the float32 numbers 1.5 and -2
    ("F16", struct.pack("<2e", 1.5, -2)),
    ("F32", struct.pack("<2f", 1.5, -2)),
    ("F64", struct.pack("<2d", 1.5, -2)),
])  # fmt: skip
def test_safetensors_of_every_float(tmp_path, dtype, data):
    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes(dtype, [2, 1], data))
    read = files.read_state_dict(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(read["a.weight"], np.array([[1.5], [-2]], np.float32), strict=True)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_other_floats_become_float32(torch, tmp_path, dtype):
    torch.save({"a.weight": torch.tensor([1.5, -2.0], dtype=getattr(torch, dtype))}, tmp_path / "model.bin")
    if dtype != "bfloat16":  # which .npz lacks
        np.savez(tmp_path / "model.npz", **{"a.weight": np.array([1.5, -2.0], dtype)})
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(
            files.read_state_dict(path)["a.weight"], np.array([1.5, -2], np.float32), strict=True
        )


@pytest.mark.parametrize("name", ["model.PTH", "checkpoint.pth.tar", "model", "model.safetensors", "model.npz"])
@pytest.mark.parametrize("suffix", files.SUFFIXES)
def test_the_content_says_which_format_it_is(torch, tmp_path, name, suffix):
    (tmp_path / name).write_bytes(files.state_dict_bytes(state_dict_of("cifar"), suffix))
    assert_cifars(tmp_path / name)


def test_pytorchs_former_format(torch, tmp_path, tensors):
    torch.save(tensors, tmp_path / "model.pt", _use_new_zipfile_serialization=False)
    assert_cifars(tmp_path / "model.pt")


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "net", "params", "anything"])
def test_a_wrapped_state_dict_is_found(torch, tmp_path, tensors, key):
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([weight])
    weight.sum().backward()
    optimizer.step()
    assert any(isinstance(value, torch.Tensor) for value in optimizer.state_dict()["state"][0].values())
    content = {"acc": 90.1, "best": torch.tensor(0.5), "optimizer": optimizer.state_dict(), 3: [4], key: tensors}
    torch.save(content, tmp_path / "model.pth")
    assert_cifars(tmp_path / "model.pth")
    torch.save({"deeper": content}, tmp_path / "model.pth")
    assert "holds no state dict: save one, torch.save(model.state_dict()" in refusal(tmp_path / "model.pth")


def test_of_two_state_dicts_none_is_taken(torch, tmp_path, tensors):
    path = tmp_path / "model.pth"
    torch.save({"epoch": 3, "net": tensors, "ema": dict(tensors)}, path)
    assert "holds 2 state dicts, 'net', 'ema': save one" in refusal(path)
    torch.save({"encoder": dict(tensors), "decoder": dict(tensors), "epoch": 3}, path)
    with pytest.raises(UserError, match=r"model.pth: its layers are not those of the network"):
        files.read_weights(path, networks.build("cifar", "xla"))


@pytest.mark.parametrize("names", ["encoder decoder", "enc_state dec_state", "decoder encoder"])
def test_an_encoders_and_a_decoders_are_one(torch, tmp_path, tensors, names):
    parts = [
        {key.removeprefix(f"{part}."): tensor for key, tensor in tensors.items() if key.startswith(part)}
        for part in (("encoder", "decoder") if names.startswith("enc") else ("decoder", "encoder"))
    ]
    torch.save(dict(zip(names.split(), parts, strict=True)) | {"epoch": 3}, tmp_path / "model.pt")
    assert_cifars(tmp_path / "model.pt")


def lightning(torch, tensors, **more):
    return {
        "epoch": 3,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {f"model.{key}": tensor for key, tensor in tensors.items()},
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": torch.tensor(0.5)}},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.ones(3)}}, "param_groups": []}],
        "hyper_parameters": {"lr": 1e-3},
    } | more


def test_lightnings_checkpoints(torch, tmp_path, tensors):
    path = tmp_path / "last.ckpt"
    torch.save(lightning(torch, tensors), path)
    assert_cifars(path)
    torch.save(lightning(torch, tensors, hyper_parameters=argparse.Namespace(lr=1e-3)), path)
    message = refusal(path)
    assert "more than tensors (argparse.Namespace)" in message
    remedy = message.rpartition("that you trust, ")[2]
    assert remedy == "torch.save(torch.load('last.ckpt', weights_only=False)['state_dict'], 'weights.pt')"
    torch.save(torch.load(path, weights_only=False)["state_dict"], tmp_path / "weights.pt")  # what it says
    assert_cifars(tmp_path / "weights.pt")


def test_pytorchs_own_average(torch, tmp_path, tensors):
    network = torch.nn.ModuleDict({
        "encoder": torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3)),
        "decoder": torch.nn.Sequential(
            torch.nn.ConvTranspose2d(8, 8, 3), torch.nn.ReLU(), torch.nn.ConvTranspose2d(8, 3, 3)
        ),
    })  # fmt: skip
    network.load_state_dict(tensors)
    average = torch.optim.swa_utils.AveragedModel(network)
    average.update_parameters(network)
    assert "n_averaged" in average.state_dict()
    torch.save({"swa": average.state_dict()}, tmp_path / "model.pt")
    assert_cifars(tmp_path / "model.pt")


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pt"])
def test_counters(tmp_path, request, suffix):
    if suffix == ".pt":
        request.getfixturevalue("torch")
    path = tmp_path / f"model{suffix}"
    path.write_bytes(files.state_dict_bytes({"n_averaged": np.array(3)} | state_dict_of("cifar"), suffix))
    assert_cifars(path)
    path.write_bytes(
        files.state_dict_bytes({"encoder.1.num_batches_tracked": np.array(3)} | state_dict_of("cifar"), suffix)
    )
    message = refusal(path)
    assert "'encoder.1.num_batches_tracked' of shape () is not made of finite float32 values" in message


def test_what_does_not_match_is_refused_with_the_files_name(tmp_path):
    path = tmp_path / "model.npz"
    for state_dict, message in (
        (state_dict_of("mnist"), "its layers are not those of the network"),
        (named(state_dict_of("cifar"), "one two three four"), "its names do not say which"),
    ):
        path.write_bytes(files.state_dict_bytes(state_dict, ".npz"))
        with pytest.raises(UserError, match=f"{path}: {message}"):
            files.read_weights(path, networks.build("cifar", "xla"))


class Payload:
    """Pickled, it makes the folder EXECUTED when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("EXECUTED",)


def test_no_code_in_a_file_is_run(torch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tensor = torch.zeros(1)
    content = {"encoder.0.weight": tensor, "note": Payload()}
    torch.save(content, "zip.pt")
    torch.save(content, "zip.bin")
    torch.save(lightning(torch, {}, hyper_parameters=Payload()), "lightning.ckpt")
    torch.save(content, "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps({"encoder.0.weight": Payload()}))
    torch.save(torch.nn.Conv2d(1, 2, 3), "module.pt")
    with warnings.catch_warnings(action="ignore"):  # newer versions advise against it
        torch.jit.trace(torch.nn.Conv2d(1, 2, 3), torch.zeros(1, 1, 5, 5)).save("script.pt")
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 7
    for path in paths:
        assert "code in a file is never run: save the state dict" in refusal(path)
    assert f"({os.mkdir.__module__}.mkdir)" in refusal(tmp_path / "zip.pt")
    assert sorted(tmp_path.iterdir()) == paths
    pickle.loads((tmp_path / "pickle.pt").read_bytes())  # the payload works where it is run
    assert (tmp_path / "EXECUTED").exists()


def test_no_code_in_an_npz_is_run(torch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("model.npz", **{"encoder.0.weight": np.array([Payload()], object)})
    assert "no state dict of PyTorch, safetensors or numpy.savez" in refusal(tmp_path / "model.npz")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Payload()))
    assert "holds more than tensors" in refusal(tmp_path / "pickle.npz")
    assert not (tmp_path / "EXECUTED").exists()
    with np.load("model.npz", allow_pickle=True) as content:
        content["encoder.0.weight"]  # the payload works where it is run
    assert (tmp_path / "EXECUTED").exists()


def test_a_pytorch_that_runs_code_is_not_used(torch, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(UserError, match=r"2.5.1\+cpu can run code .* pip install 'torch>=2.6'"):
        files.state_dict_bytes({}, ".pt")


def test_without_pytorch_its_files_are_refused_by_name(tmp_path, monkeypatch):
    (tmp_path / "checkpoint.pth.tar").write_bytes(zipped("archive/data.pkl", b""))
    monkeypatch.setitem(sys.modules, "torch", None)
    message = refusal(tmp_path / "checkpoint.pth.tar")
    assert "is neither safetensors nor .npz, and needs PyTorch: pip install -e '.[torch]'" in message


def test_a_suffix_to_write_may_be_in_capitals():
    assert files.state_dict_bytes(state_dict_of("mnist"), ".NPZ").startswith(b"PK")


NOT_WHOLE = "is no state dict of PyTorch, safetensors or numpy.savez, or not a whole one"


def test_broken_files_are_one_line(torch, tmp_path):
    path = tmp_path / "model.pt"
    whole = files.state_dict_bytes(state_dict_of("mnist"), ".pt")
    for content in (b"", b"hello", b"PK\3\4", whole[: len(whole) // 2], zipped("a.txt", b"text")):
        path.write_bytes(content)
        message = refusal(path)
        assert NOT_WHOLE in message or "holds more than tensors" in message, content[:9]
    for content, message in (
        (torch.zeros(3), "holds no state dict"),
        ({}, "holds no state dict"),
        ({"a.weight": torch.zeros(3, dtype=torch.int32)}, "of shape (3,) is not made of finite"),
        ({"a.weight": torch.eye(3).to_sparse()}, "is no tensor of values"),
        ({"a.weight": torch.zeros(3, device="meta")}, "is no tensor of values"),
        ({"a.weight": torch.tensor([float("nan")])}, "is not made of finite float32 values"),
        ({"a.weight": torch.tensor([1e300], dtype=torch.float64)}, "is not made of finite float32 values"),
        ({"a.weight": torch.zeros(3), "epoch": 3}, "'epoch' in the state dict is no tensor of values"),
    ):
        torch.save(content, path)
        assert message in refusal(path)


def test_broken_safetensors_are_one_line(tmp_path):
    path = tmp_path / "model.safetensors"
    whole = files.state_dict_bytes(state_dict_of("cifar"), ".safetensors")
    for content in (whole[:300], whole[:-4], whole + b"more"):
        path.write_bytes(content)
        assert NOT_WHOLE in refusal(path)
    for content, message in (
        (safetensors_bytes("I32", [2], bytes(8)), "is not made of finite float32 values"),
        (safetensors_bytes("BF16", [1], struct.pack("<H", 0x7F80)), "is not made of finite float32 values"),
        (files.state_dict_bytes({}, ".safetensors"), "holds no tensors"),
    ):
        path.write_bytes(content)
        assert message in refusal(path)


def npy(array: np.ndarray) -> bytes:
    """What `numpy.save` writes."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def test_broken_npz_are_one_line(tmp_path):
    path = tmp_path / "model.npz"
    whole = files.state_dict_bytes(state_dict_of("cifar"), ".npz")
    claim = io.BytesIO()
    np.lib.format.write_array_header_1_0(claim, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)})
    damaged = bytearray(zipped("a.weight.npy", npy(np.arange(1000, dtype=np.float32))))
    damaged[60:80] = bytes(20)
    for content, message in (
        (whole[: len(whole) // 2], NOT_WHOLE),
        (bytes(damaged), NOT_WHOLE),
        (zipped("a.weight.npy", npy(np.zeros(1000)).replace(b"(1000,)", b"(9**9,)")), NOT_WHOLE),
        (zipped("a.weight.npy", claim.getvalue() + bytes(100)), NOT_WHOLE),
        (zipped("a.weight.npy", npy(np.zeros(3, np.int32))), "of shape (3,) is not made of finite"),
        (zipped("a.weight.npy", npy(np.full(3, 1e300))), "is not made of finite float32 values"),
        (zipped("a.weight.npy", npy(np.array([np.nan]))), "is not made of finite float32 values"),
    ):  # fmt: skip
        path.write_bytes(content)
        assert message in refusal(path), message
    with zipfile.ZipFile(path, "w"):
        pass
    assert "holds no tensors" in refusal(path)


def test_a_missing_package_is_one_line(torch, tmp_path, monkeypatch):
    suffix, package, remedy = ".pt", "torch", r"pip install -e '.\[torch\]', or take a .safetensors or .npz file"
    path = tmp_path / f"model{suffix}"
    path.write_bytes(files.state_dict_bytes(state_dict_of("cifar"), suffix))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=remedy):
        files.read_state_dict(path)
    with pytest.raises(UserError, match=remedy):
        files.state_dict_bytes({}, suffix)
