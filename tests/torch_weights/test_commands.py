"""Whole imports and exports."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxae.config import Config, DataConfig, Launch, TrainConfig
from jaxae.errors import UserError
from jaxae.experiments import mnist_denoise, running
from jaxae.runs import directory
from jaxae.runs.trained import load_run as restore
from jaxae.torch_weights import __main__ as program
from jaxae.torch_weights import files
from tests.small_run import random_params, write_run
from tests.torch_weights.state_dicts import sequential, state_dict_of


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
    params, state_dict = random_params("mnist"), state_dict_of("mnist")
    path, run_dir = tmp_path / "model.safetensors", tmp_path / "run"
    path.write_bytes(files.state_dict_bytes(sequential(state_dict), ".safetensors"))
    training = TrainConfig(epochs=1, batch_size=8, backend="xla")  # it compiles fastest
    summary = program.import_weights(program.Import(path, run_dir, "mnist", photos, train=training))
    assert summary == json.loads((run_dir / directory.SUMMARY).read_text())
    assert summary["epochs"] == 0
    run = restore(run_dir)
    assert run.epoch == 0
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(run.params), params)

    back = tmp_path / "back.npz"
    monkeypatch.setattr(sys, "argv", ["torch_weights", "export", str(run_dir), str(back)])
    program.main()
    assert "the mnist network after epoch 0" in capsys.readouterr().out
    for key, array in files.read_state_dict(back).items():
        np.testing.assert_array_equal(state_dict[key], array)

    config = Config(photos, train=training, network="mnist")
    trained = running.run_config(mnist_denoise.EXPERIMENT, config, Launch(run_dir=run_dir, resume=True))
    assert trained["epochs"] == 1
    now = restore(run_dir)
    assert now.epoch == 1
    # the learning rate is 1e-3, so the few steps of Adam have not led far from what was imported
    moved = jax.tree.map(lambda new, old: float(jnp.abs(new - old).max()), now.params, params)
    assert 0 < max(jax.tree.leaves(moved)) < 0.01


def test_imported_weights_are_not_scaled(photos, tmp_path):
    path, run_dir = tmp_path / "model.safetensors", tmp_path / "run"
    path.write_bytes(files.state_dict_bytes(sequential(state_dict_of("cifar")), ".safetensors"))

    def imported(scaled):
        training = TrainConfig(1, 8, lsuv=scaled, backend="xla")
        return program.import_weights(program.Import(path, run_dir, "cifar", photos, train=training, recipe="fast"))

    with pytest.raises(UserError, match=r"`lsuv`: imported weights stay as they are"):
        imported(True)
    assert not run_dir.exists()
    imported(None)
    assert restore(run_dir).config.train.lsuv is False
    assert restore(run_dir).config.train.reflect_padding == 0  # nor padded, as the recipe would have it


def test_nothing_is_left_of_an_import_that_fails(photos, tmp_path, monkeypatch):
    path, run_dir = tmp_path / "model.safetensors", tmp_path / "run"
    path.write_bytes(files.state_dict_bytes(state_dict_of("cifar"), ".safetensors"))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match="its layers are not those of the network"):
        program.import_weights(program.Import(path, run_dir, "mnist", photos))
    path.write_bytes(files.state_dict_bytes(state_dict_of("mnist"), ".safetensors"))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(program, "score", lambda *_: None)
    monkeypatch.setattr(program.running, "summarize_run", lambda *_: {"test": {"psnr": 1.0}})
    monkeypatch.setattr(program.figures, "write_figures", full)
    with pytest.raises(OSError, match="No space"):
        program.import_weights(program.Import(path, run_dir, "mnist", photos, train=TrainConfig(batch_size=8)))
    assert sorted(tmp_path.iterdir()) == before
    run_dir.mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    for place in (run_dir, tmp_path / "link"):
        with pytest.raises(UserError, match="exists already: name a new directory"):
            program.import_weights(program.Import(path, place, "mnist", photos))


@pytest.mark.parametrize(("name", "message"), [
    ("model.ckpt", "state dicts end in .pt, .pth, .bin, .safetensors or .npz, not in '.ckpt'"),  # Lightning's own
    ("model", "state dicts end in"),
])  # fmt: skip
def test_only_state_dicts_are_exported(tmp_path, name, message):
    write_run(tmp_path / "run", "mnist")
    with pytest.raises(UserError, match=message):
        program.export_weights(program.Export(tmp_path / "run", tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_export_says_what_reflect_padding_is_in_pytorch(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[torch]'")
    from benchmarks.torch_models import NETWORKS

    write_run(tmp_path / "run", "cifar", reflect_padding=4)
    said = program.export_weights(program.Export(tmp_path / "run", tmp_path / "mine.pt"))
    run, network = restore(tmp_path / "run"), NETWORKS["cifar"]()
    network.load_state_dict(torch.load(tmp_path / "mine.pt", weights_only=True))
    images = np.random.default_rng(0).random((2, 9, 32, 3), np.float32)
    names = {"torch": torch, "network": network, "images": torch.from_numpy(images.transpose(0, 3, 1, 2))}
    theirs = eval(said.partition("in PyTorch, ")[2], names).detach().numpy().transpose(0, 2, 3, 1)
    ours = jax.jit(run.network.clone(backend="xla").apply)({"params": run.params}, jnp.asarray(images))
    np.testing.assert_allclose(theirs, ours, atol=1e-6)
