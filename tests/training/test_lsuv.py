"""LSUV initialization: every convolution's output gets unit variance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from jaxae import networks, noise, training
from jaxae.runs.digest import tree_digest
from jaxae.tracing import convolution_outputs
from jaxae.training.lsuv import scale_layers
from jaxae.training.step import LSUV
from tests.small_run import random_params


def fresh(name):
    model = networks.build(name, "xla")
    task = training.Task(model, training.make_optimizer("plain", 0), 4)
    hyper = training.hyperparameters(0, 1e-3, noise.parse("gaussian", 0.1))
    images = np.random.default_rng(0).integers(0, 256, (16, *model.image_shape), np.uint8)
    return task, hyper, random_params(name), images


@pytest.mark.parametrize("name", ["mnist", "cifar"])
def test_every_channel_before_an_activation_has_mean_0_and_deviation_1(name):
    task, _, params, images = fresh(name)
    images = training.to_float(jnp.asarray(images))
    scaled = jax.jit(scale_layers, static_argnums=0)(task.model, params, images)
    outputs = convolution_outputs(task.model, scaled, images)
    assert set(outputs) == {path[:-1] for path in flatten_dict(params)}
    *inner, (last,) = outputs
    assert tree_digest(scaled[last]) == tree_digest(params[last])
    for path in inner:
        output = np.asarray(outputs[path])
        np.testing.assert_allclose(output.mean((0, 1, 2)), 0, atol=1e-4)
        np.testing.assert_allclose(output.std((0, 1, 2)), 1, rtol=1e-4)


def test_a_channel_with_constant_output_stays_finite():
    task, _, params, images = fresh("cifar")
    kernel = params["encoder_0"]["kernel"].at[..., 2].set(0.0)
    params = params | {"encoder_0": params["encoder_0"] | {"kernel": kernel}}
    scaled = scale_layers(task.model, params, training.to_float(jnp.asarray(images)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(scaled))
    assert abs(scaled["encoder_0"]["bias"][2]) < 1e-6


def test_a_runs_own_noise_is_on_the_images_and_its_backend_does_not_matter():
    task, hyper, params, images = fresh("cifar")
    scaled = training.scale_initial(task, hyper, params, images)
    noisy = hyper.noise(jax.random.fold_in(hyper.key, LSUV), training.to_float(jnp.asarray(images)))
    expected = scale_layers(task.model, params, noisy)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), scaled, expected)
    lanes = task._replace(model=networks.build("cifar", "lanes", "bfloat16"))
    assert tree_digest(training.scale_initial(lanes, hyper, params, images)) == tree_digest(scaled)
