"""State dicts under other names, in files of either format, broken ones, and whole imports and exports."""

import json
import os
import pickle
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxae.restore import restore_run
from PIL import Image

from jaxae import experiment, models, runs
from jaxae.config import Config, DataConfig, TrainConfig
from jaxae.errors import UserError
from jaxae.torch_weights import __main__ as program
from jaxae.torch_weights import files, from_torch, to_torch
from jaxae.torch_weights.matching import originals_names
from tests.small_run import random_params, write_run

NAMES = sorted(models.MODELS)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'jaxae[torch]'")


def state_dict_of(model: str) -> dict[str, np.ndarray]:
    return to_torch(random_params(model))


def sequential(state_dict: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The keys of one `nn.Sequential` of all layers."""
    count = len({key.split(".")[1] for key in state_dict if key.startswith("encoder")})
    start = {"encoder": 0, "decoder": 2 * count}
    parts = ((key.split("."), array) for key, array in state_dict.items())
    return {f"{start[part] + int(number)}.{kind}": array for (part, number, kind), array in parts}


def named(state_dict: dict[str, np.ndarray], names: str) -> dict[str, np.ndarray]:
    """`state_dict` with its layers called `names`, in order."""
    layers = list(dict.fromkeys(key.rpartition(".")[0] for key in state_dict))
    new = dict(zip(layers, names.split(), strict=True))
    return {f"{new[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": array for key, array in state_dict.items()}


@pytest.mark.parametrize("model", NAMES)
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("wrap", [
    lambda state_dict: state_dict,
    lambda state_dict: {f"module.{key}": array for key, array in state_dict.items()},
    sequential,
    lambda state_dict: {f"net.{key}": array for key, array in sequential(state_dict).items()},
])  # fmt: skip
def test_keys_are_matched_whatever_stands_before_them(model, ordered, wrap):
    state_dict = state_dict_of(model)
    given = wrap(state_dict)
    if not ordered:
        given = dict(sorted(given.items(), reverse=True))
    matched = originals_names(given, model, ordered)
    assert list(matched) == list(state_dict)
    for key, array in state_dict.items():
        assert matched[key] is array


def test_other_names_are_matched_by_shape_and_order():
    mnist, cifar = state_dict_of("mnist"), state_dict_of("cifar")
    given = dict(sorted(named(mnist, "c b a up2 up1 up3").items()))
    assert {key: id(array) for key, array in originals_names(given, "mnist", ordered=False).items()} == {
        key: id(array) for key, array in mnist.items()
    }
    given = named(cifar, "conv1 conv2 up1 up2")
    assert originals_names(given, "cifar", ordered=True)["encoder.2.weight"] is cifar["encoder.2.weight"]
    given = named(cifar, "conv1 decoder.x encoder.y up2")
    assert originals_names(given, "cifar", ordered=False)["encoder.2.weight"] is cifar["decoder.0.weight"]
    given = named(cifar, "conv1 encoder.x up1 up2")  # what is left over goes where there is room
    assert originals_names(given, "cifar", ordered=False)["decoder.0.weight"] is cifar["decoder.0.weight"]


@pytest.mark.parametrize(("model", "given", "ordered", "message"), [
    ("cifar", named(state_dict_of("cifar"), "conv1 conv2 up1 up2"), False, "'conv2' and 'up1' have the same shapes"),
    ("cifar", named(state_dict_of("cifar"), "0 4 2 6"), True, "'4' and '2' have the same shapes"),
    ("mnist", state_dict_of("cifar"), True, "no state dict of the mnist network: .* it fits --model cifar"),
    ("mnist", dict(list(state_dict_of("mnist").items())[:-2]), True, "decoder.4 with weight 16×1×3×3 .* is missing"),
    ("mnist", state_dict_of("mnist") | {f"ema.{k}": v for k, v in state_dict_of("mnist").items()}, True, "too many"),
    ("mnist", state_dict_of("mnist") | {"norm.running_mean": np.zeros(3)}, True, "'norm.running_mean' is neither"),
    ("mnist", {k: v for k, v in state_dict_of("mnist").items() if k != "encoder.0.bias"}, True, "has no bias"),
    ("mnist", {"weight": np.zeros((4, 3)), "bias": np.zeros(4)}, True, "no state dict of the mnist network"),
])  # fmt: skip
def test_what_does_not_match_is_refused(model, given, ordered, message):
    with pytest.raises(UserError, match=message):
        originals_names(given, model, ordered)


@pytest.mark.parametrize("suffix", files.SUFFIXES)
@pytest.mark.parametrize("model", NAMES)
def test_weights_come_back_exactly(tmp_path, request, model, suffix):
    if suffix != ".safetensors":
        request.getfixturevalue("torch")
    state_dict, path = state_dict_of(model), tmp_path / f"model{suffix}"
    path.write_bytes(files.to_bytes(state_dict, suffix))
    read, ordered = files.read(path)
    assert ordered == (suffix != ".safetensors")
    assert read.keys() == state_dict.keys()
    for key, array in state_dict.items():
        np.testing.assert_array_equal(read[key], array)
        assert read[key].dtype == np.float32


@pytest.mark.parametrize("wrapper", [("state_dict",), ("model_state_dict",), ("model", "state_dict")])
def test_a_wrapped_state_dict_is_found(torch, tmp_path, wrapper):
    content = {key: torch.from_numpy(array).double() for key, array in state_dict_of("cifar").items()}
    for name in wrapper:
        content = {"epoch": 3, name: content, "optimizer": {"state": {}}}
    torch.save(content, tmp_path / "model.pt")
    assert files.read(tmp_path / "model.pt")[0].keys() == state_dict_of("cifar").keys()


class Payload:
    """Pickled, it makes the file EXECUTED when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("EXECUTED",)


def test_no_code_in_a_file_is_run(torch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tensor = torch.zeros(1)
    torch.save({"encoder.0.weight": tensor, "note": Payload()}, "zip.pt")
    torch.save({"encoder.0.weight": tensor, "note": Payload()}, "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps({"encoder.0.weight": Payload()}))
    torch.save(torch.nn.Conv2d(1, 2, 3), "module.pt")
    for path in sorted(tmp_path.glob("*.pt")):
        with pytest.raises(UserError, match="so it was not read: save"):
            files.read(path)
    assert not (tmp_path / "EXECUTED").exists()
    pickle.loads((tmp_path / "pickle.pt").read_bytes())  # the payload works where it is run
    assert (tmp_path / "EXECUTED").exists()


def test_broken_files_are_one_line(torch, tmp_path):
    path = tmp_path / "model.pt"
    whole = files.to_bytes(state_dict_of("mnist"), ".pt")
    for content, message in (
        (b"", "no PyTorch file, or not a whole one"),
        (b"hello", "no PyTorch file"),
        (whole[: len(whole) // 2], "not a whole one"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            files.read(path)
    for content, message in (
        (torch.zeros(3), "holds no state dict"),
        ({}, "holds no tensors"),
        ({"a.weight": torch.zeros(3, dtype=torch.int32)}, "int32 of shape 3, is no tensor of these networks"),
        ({"a.weight": torch.zeros(1).expand(10**12)}, "shape 1000000000000"),
        ({"a.weight": torch.eye(3).to_sparse()}, "shape 3×3"),
        ({"a.weight": torch.tensor([float("nan")])}, "not finite"),
    ):
        torch.save(content, path)
        with pytest.raises(UserError, match=message):
            files.read(path)
    with pytest.raises(UserError, match=r"\.pt, \.pth or \.safetensors"):
        files.read(tmp_path / "model.h5")


def test_broken_safetensors_are_one_line(tmp_path):
    path = tmp_path / "model.safetensors"
    whole = files.to_bytes(state_dict_of("cifar"), ".safetensors")
    for content in (b"", b"hello, this is text", whole[:300], whole[:-4]):
        path.write_bytes(content)
        with pytest.raises(UserError, match="no safetensors file"):
            files.read(path)
    path.write_bytes(files.to_bytes({"a.weight": np.zeros(3, np.int32)}, ".safetensors"))
    with pytest.raises(UserError, match="int32, is no tensor"):
        files.read(path)


@pytest.mark.parametrize(("suffix", "package", "remedy"), [
    (".pt", "torch", r"pip install 'jaxae\[torch\]', or take a .safetensors file"),
    (".safetensors", "safetensors.numpy", r"pip install 'jaxae\[safetensors\]'"),
])  # fmt: skip
def test_a_missing_package_is_one_line(tmp_path, monkeypatch, suffix, package, remedy):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=remedy):
        files.check_package(tmp_path / f"model{suffix}")


@pytest.fixture
def photos(tmp_path):
    """A folder of 40 small images, as the name of a data set."""
    folder, rng = tmp_path / "photos", np.random.default_rng(0)
    folder.mkdir()
    for number in range(40):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 5), np.uint8))
        coarse.resize((32, 32)).save(folder / f"{number}.png")
    return DataConfig(f"folder:{folder}")


@pytest.mark.slow
def test_an_imported_network_evaluates_trains_on_and_goes_back(photos, tmp_path, monkeypatch, capsys):
    params = random_params("mnist")
    path, run_dir = tmp_path / "model.safetensors", tmp_path / "run"
    path.write_bytes(files.to_bytes(sequential(to_torch(params)), ".safetensors"))
    training = TrainConfig(epochs=1, batch_size=8, ops="xla")  # it compiles fastest
    summary = program.import_weights(program.Import(path, run_dir, "mnist", photos, train=training))
    assert summary == json.loads((run_dir / runs.SUMMARY).read_text())
    assert summary["epochs"] == 0
    run = restore_run(run_dir)
    assert run.epoch == 0
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(run.params), params)

    back = tmp_path / "back.safetensors"
    monkeypatch.setattr(sys, "argv", ["torch_weights", "export", str(run_dir), str(back)])
    program.main()
    assert "the mnist network after epoch 0" in capsys.readouterr().out
    for key, array in to_torch(params).items():
        np.testing.assert_array_equal(files.read(back)[0][key], array)

    config = Config(photos, train=training, model="mnist", run_dir=run_dir, resume=True)
    trained = experiment.run(program.EXPERIMENTS["mnist"], config)
    assert trained["epochs"] == 1
    now = restore_run(run_dir)
    assert now.epoch == 1
    # the learning rate is 1e-3, so the few steps of Adam have not led far from what was imported
    moved = jax.tree.map(lambda new, old: float(jnp.abs(new - old).max()), now.params, params)
    assert 0 < max(jax.tree.leaves(moved)) < 0.01


def test_nothing_is_left_of_an_import_that_fails(photos, tmp_path, monkeypatch):
    path, run_dir = tmp_path / "model.safetensors", tmp_path / "run"
    path.write_bytes(files.to_bytes(state_dict_of("cifar"), ".safetensors"))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match="it fits --model cifar"):
        program.import_weights(program.Import(path, run_dir, "mnist", photos))
    path.write_bytes(files.to_bytes(state_dict_of("mnist"), ".safetensors"))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(program, "score", lambda *_: None)
    monkeypatch.setattr(program, "means_with_noisy", lambda *_: {"psnr": 1.0})
    monkeypatch.setattr(program.figures, "write", full)
    with pytest.raises(OSError, match="No space"):
        program.import_weights(program.Import(path, run_dir, "mnist", photos, train=TrainConfig(batch_size=8)))
    assert sorted(tmp_path.iterdir()) == before
    write_run(run_dir, "mnist")
    with pytest.raises(UserError, match="is there already"):
        program.import_weights(program.Import(path, run_dir, "mnist", photos))


def test_outputs_are_pytorchs(torch, tmp_path):
    """The test of the networks' outputs, with a file in between."""
    from tests.test_torch_parity import NETWORKS, smooth_images, to_nchw, to_nhwc

    torch.manual_seed(0)
    for name, network in NETWORKS.items():
        original = network()
        torch.save(
            {"model_state_dict": {f"module.{k}": v for k, v in original.state_dict().items()}}, tmp_path / "m.pt"
        )
        state_dict, ordered = files.read(tmp_path / "m.pt")
        params = jax.tree.map(jnp.asarray, from_torch(originals_names(state_dict, name, ordered)))
        images = smooth_images(name)
        restored = jax.jit(models.build(name, "xla").apply)({"params": params}, jnp.asarray(images))
        np.testing.assert_allclose(restored, to_nhwc(original(to_nchw(images))), rtol=0, atol=1e-6)
