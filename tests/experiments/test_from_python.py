"""`jaxae.train`: a run in a few lines."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxae
from jaxae import data
from jaxae.config import Launch
from jaxae.errors import UserError
from jaxae.experiments import from_python, mnist_denoise
from jaxae.runs.digest import tree_digest

SMALL = {"epochs": 2, "batch_size": 8, "backend": "xla", "devices": 1}


@pytest.fixture(scope="module")
def images():
    """Training and test images of squares, grey without an axis of channels."""
    random, made = np.random.default_rng(0), np.zeros((48, 28, 28), np.uint8)
    for image in made:
        top, left = random.integers(0, 14, 2)
        image[top : top + 12, left : left + 12] = random.integers(80, 256)
    return made[:32], made[32:]


@pytest.fixture(scope="module")
def result(images):
    return jaxae.train("mnist-denoise", images, learning_rate=0.01, noise_factor=0.3, **SMALL)


def test_a_result_has_the_model_the_history_and_the_metrics(result, images):
    assert [record["epoch"] for record in result.history] == [1, 2]
    assert result.history[1]["train_loss"] < result.history[0]["train_loss"]
    assert result.metrics["psnr"] == pytest.approx(result.history[1]["psnr"], rel=1e-5)
    assert result.metrics.keys() >= {"noisy_psnr", "ssim"}
    config = result.model.config
    assert (config.noise.kind, config.noise.factor, config.data.name) == ("gaussian", 0.3, "arrays")
    assert images[0].flags.writeable
    noisy = jnp.asarray(images[1][:4, ..., None] / np.float32(255))
    restored = result.model(noisy)
    expected = result.model.network.apply({"params": result.model.params}, noisy)
    np.testing.assert_allclose(restored, expected, atol=1e-5)
    assert jaxae.denoise(images[1], result.model).shape == images[1].shape


def test_a_result_is_drawn(result):
    first, second = (figure.axes for figure in (jaxae.plot.curves(result.history), jaxae.plot.before_and_after(result)))
    assert len(first) == 2
    assert [axis.get_ylabel() for axis in second] == ["original", "gaussian 0.3", "restored"]


def test_callbacks_get_the_model_after_each_epoch_and_the_numbers_stay(result, images):
    seen = []

    def callback(record, model):
        seen.append((record["epoch"], record["train_loss"], tree_digest(model.params), model.epoch))

    again = jaxae.train("mnist-denoise", images, learning_rate=0.01, noise_factor=0.3, callback=callback, **SMALL)
    assert [epoch for epoch, *_ in seen] == [epoch for *_, epoch in seen] == [1, 2]
    assert [loss for _, loss, *_ in seen] == [record["train_loss"] for record in result.history]
    digests = [digest for *_, digest, _ in seen]
    assert digests[0] != digests[1] == tree_digest(again.model.params) == tree_digest(result.model.params)


@pytest.mark.slow
def test_an_optimizer_takes_the_place_of_the_recipe(result, images):
    adam = optax.adam(optax.constant_schedule(0.01))
    ours = jaxae.train("mnist-denoise", images, noise_factor=0.3, optimizer=adam, **SMALL)
    same = jax.tree.map(lambda a, b: np.allclose(a, b, atol=1e-4), ours.model.params, result.model.params)
    assert all(jax.tree.leaves(same))
    with pytest.raises(UserError, match="records a recipe"):
        jaxae.train("mnist-denoise", images, optimizer=adam, run_dir="nowhere")


@pytest.mark.slow
def test_a_directory_gets_what_the_command_writes(images, tmp_path, caplog, capsys):
    caplog.set_level(logging.INFO, "jaxae")
    pairs = [data.Images(each[..., None], 255 - each[..., None]) for each in images]
    result = jaxae.train("mnist-denoise", tuple(pairs), run_dir=str(tmp_path / "run"), **SMALL)
    assert {"config.json", "report.html", "summary.json"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert result.model.config.noise.kind == "none"
    assert tree_digest(jaxae.load(tmp_path / "run").params) == tree_digest(result.model.params)
    assert "epoch 2/2" in caplog.text
    assert capsys.readouterr().out == ""


def test_options_are_those_of_the_command_by_their_last_names():
    options = {"data": "digits", "data_dir": "/data", "noise": "salt", "epochs": 3, "seed": 4, "log_tensorboard": True}
    config, launch = (from_python._with_options(each, options) for each in (mnist_denoise.EXPERIMENT.config, Launch()))
    assert not options
    assert (config.data.name, str(launch.data.dir), launch.log.tensorboard) == ("digits", "/data", True)
    assert (config.noise.kind, config.train.epochs, config.seed) == ("salt", 3, 4)
    with pytest.raises(TypeError, match="no options called validation, sede"):
        jaxae.train("mnist-denoise", validation=0.5, sede=1)
    with pytest.raises(UserError, match="did you mean mnist_denoise"):
        jaxae.train("mnist")
