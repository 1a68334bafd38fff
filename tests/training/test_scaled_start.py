"""Fresh parameters scaled so that every filter answers alike strongly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import models, noise, training
from jaxae.config import Config, DataConfig, DataPlace, Launch, TrainConfig
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


def test_a_run_starts_from_them_where_its_recipe_says_so(prepared_data, tmp_path, monkeypatch):
    def start(name):
        settings = Config(DataConfig("dead_leaves_small", 64), train=TrainConfig(1, 8), recipe="fast")
        launch = Launch(DataPlace(prepared_data), run_dir=tmp_path / name)
        made = plan.make_plan(cifar10_denoise.EXPERIMENT, settings, launch)
        first = training.init(made.task, made.hyper, (32, 32, 3)).params
        return digest(made.initial_state().params), digest(first)

    plain, as_drawn = start("plain")
    assert plain == as_drawn
    recipe = models.CifarAutoencoder.recipes["fast"]._replace(scaled_start=True)
    monkeypatch.setattr(models.CifarAutoencoder, "recipes", {"fast": recipe})
    scaled, as_drawn = start("scaled")
    assert scaled != as_drawn
    assert start("again")[0] == scaled
