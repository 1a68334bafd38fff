"""Fresh parameters scaled so that every filter answers alike strongly."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import models, noise, training
from jaxae.config import Config, DataConfig, DataPlace, Launch, TrainConfig
from jaxae.errors import UserError
from jaxae.experiments import cifar10_denoise, plan
from jaxae.run.digest import digest
from jaxae.training.scaled_start import _output, scale


def fresh(name):
    model = models.build(name, "xla")
    hyper = training.hyperparameters(0, 1e-3, noise.parse("gaussian", 0.1))
    params = training.init(
        training.Task(model, training.make_optimizer("plain", 0), 4), hyper, model.image_shape
    ).params
    images = jnp.asarray(np.random.default_rng(0).random((16, *model.image_shape), np.float32))
    return model, params, images


@pytest.mark.parametrize("name", ["mnist", "cifar"])
def test_every_filter_before_a_relu_has_mean_0_and_deviation_1(name):
    model, params, images = fresh(name)
    scaled = jax.jit(scale, static_argnums=0)(model, params, images)
    last = max(layer for layer in params if layer.startswith("decoder"))
    assert digest(scaled[last]) == digest(params[last])
    for layer in params.keys() - {last}:
        output = np.asarray(_output(model, scaled, images, layer))
        np.testing.assert_allclose(output.mean((0, 1, 2)), 0, atol=1e-4)
        np.testing.assert_allclose(output.std((0, 1, 2)), 1, rtol=1e-4)


def test_a_filter_that_answers_the_same_to_everything_stays_finite():
    model, params, images = fresh("cifar")
    kernel = params["encoder_0"]["kernel"].at[..., 2].set(0.0)
    params = params | {"encoder_0": params["encoder_0"] | {"kernel": kernel}}
    scaled = scale(model, params, images)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(scaled))
    assert abs(scaled["encoder_0"]["bias"][2]) < 1e-6


def test_a_run_starts_from_them_where_it_says_so(prepared_data, tmp_path):
    def start(name, scaled):
        settings = Config(
            DataConfig("photo_patches_small", 64), train=TrainConfig(1, 8, scaled_start=scaled), recipe="fast"
        )
        launch = Launch(DataPlace(prepared_data), run_dir=tmp_path / name)
        made = plan.make_plan(cifar10_denoise.EXPERIMENT, settings, launch)
        assert made.config.train.scaled_start is scaled
        first = training.init(made.task, made.hyper, (32, 32, 3)).params
        return digest(made.initial_state().params), digest(first)

    plain, as_drawn = start("plain", False)
    assert plain == as_drawn
    scaled, as_drawn = start("scaled", True)
    assert scaled != as_drawn
    assert start("again", True)[0] == scaled


def test_weights_of_another_run_are_not_scaled():
    settings = Config(train=TrainConfig(scaled_start=True), model="cifar", recipe="fast", init_from=Path("runs/mine"))
    with pytest.raises(UserError, match=r"--train.scaled-start: a run from the weights of runs/mine keeps them"):
        plan.settle_training(settings)
    left = dataclasses.replace(settings, train=TrainConfig())
    assert plan.settle_training(left).train.scaled_start is False
    assert plan.settle_training(dataclasses.replace(left, init_from=None)).train.scaled_start is True  # as its recipe
