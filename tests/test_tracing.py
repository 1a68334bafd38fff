"""Layers, outputs and activations: also of a network with more than ten layers, whose names sort otherwise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import networks, noise, tracing
from jaxae.data import Images
from jaxae.layers import Conv, ConvTranspose
from jaxae.networks import Autoencoder
from jaxae.runs import health
from jaxae.runs.digest import tree_digest
from jaxae.runs.evaluation_set import EvaluationSet
from jaxae.training.lsuv import scale_layers
from tests.small_run import draw_params, random_params

ENCODER = 11
PATHS = [(f"encoder_{number}",) for number in range(ENCODER)] + [("decoder_0",), ("decoder_1",)]
UNITS = [*range(1, ENCODER + 1), 5]  # the channels of each layer but the last: no two of the encoder's are equal


class Deep(Autoencoder):
    """Layer number i of the encoder has i + 1 channels."""

    image_shape = (8, 8, 1)

    def encoder_layers(self):
        return [Conv(self.ops, max(1, number), number + 1, 3, padding=1) for number in range(ENCODER)]

    def decoder_layers(self):
        return [ConvTranspose(self.ops, ENCODER, 5, 3, padding=1), ConvTranspose(self.ops, 5, 1, 3, padding=1)]


def build(name):
    model = networks.build(name, "xla")
    return model, random_params(name), jax.random.uniform(jax.random.key(1), (2, *model.image_shape))


@pytest.fixture(scope="module")
def deep():
    """The network, parameters and images."""
    model, images = Deep("xla"), jax.random.uniform(jax.random.key(1), (6, 8, 8, 1))
    return model, draw_params(model), images


def test_layers_are_in_numeric_order(deep):
    model, params, images = deep
    assert sorted(PATHS) != PATHS
    found = tracing.list_layers(model)
    assert [layer.path for layer in found] == PATHS
    assert [layer.module.out_channels for layer in found] == [*UNITS, 1]
    assert list(tracing.convolution_outputs(model, params, images)) == PATHS
    assert [activation.shape[-1] for activation in tracing.activations(model, params, images)] == UNITS


def test_lsuv_scales_all_but_the_last_layer(deep):
    model, params, images = deep
    scaled = jax.jit(scale_layers, static_argnums=0)(model, params, images)
    same = [path for path in PATHS if tree_digest(scaled[path[0]]) == tree_digest(params[path[0]])]
    assert same == [("decoder_1",)]
    for path, output in tracing.convolution_outputs(model, scaled, images).items():
        if path not in same:
            np.testing.assert_allclose(np.std(output, (0, 1, 2)), 1, rtol=1e-3, err_msg=path)


def test_dead_units_are_counted_in_that_order(deep):
    model, params, _ = deep
    params = jax.tree.map(jnp.abs, params)  # every unit is alive
    images = np.random.default_rng(0).integers(1, 256, (6, 8, 8, 1), np.uint8)
    test = EvaluationSet("random", Images(images), noise.parse("none"))
    assert health._alive(model, params, test).tolist() == [True] * sum(UNITS)
    bias = params["encoder_9"]["bias"].at[:4].set(-1e12)
    alive = health._alive(model, params | {"encoder_9": params["encoder_9"] | {"bias": bias}}, test)
    start = sum(UNITS[:9])
    assert np.flatnonzero(~alive).tolist() == list(range(start, start + 4))


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_params_like_has_the_shapes_of_the_parameters_whatever_the_backend(name):
    like = tracing.params_like(networks.build(name, "lanes", "bfloat16"))
    model = networks.build(name, "xla")
    assert like == jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *model.image_shape)))["params"]


def test_layers_are_those_with_parameters_in_the_order_of_execution():
    found = tracing.list_layers(networks.build("mnist", "lanes", "bfloat16"))
    assert [layer.path for layer in found] == [(f"{part}_{n}",) for part in ("encoder", "decoder") for n in range(3)]
    assert [type(layer.module) for layer in found] == [Conv] * 3 + [ConvTranspose] * 3
    assert [layer.module.stride for layer in found] == [2, 2, 1, 1, 2, 2]
    assert all(layer.module.scope is None for layer in found)  # nothing holds on to what was traced


def test_activations_are_what_follows_each_layer_but_the_last():
    model, params, images = build("cifar")
    outputs = tracing.convolution_outputs(model, params, images)
    activations = tracing.activations(model, params, images)
    assert list(outputs) == [("encoder_0",), ("encoder_1",), ("decoder_0",), ("decoder_1",)]
    assert len(activations) == 3
    for output, activation in zip(outputs.values(), activations, strict=False):
        assert jnp.array_equal(activation, jnp.maximum(output, 0))


def test_activations_of_ones_own_are_observed():
    class Leaky(networks.CifarAutoencoder):
        def activate(self, x):
            return jnp.where(x > 0, x, 0.1 * x)

    activations = tracing.activations(Leaky("xla"), random_params("cifar"), jnp.ones((1, 32, 32, 3)))
    assert min(activation.min() for activation in activations) < 0
