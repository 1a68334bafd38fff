"""A network with more than ten layers in its encoder: their names sort otherwise than they are executed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import networks, noise
from jaxae.data import Images
from jaxae.layers import Conv, ConvTranspose
from jaxae.networks import Autoencoder
from jaxae.runs import health
from jaxae.runs.digest import tree_digest
from jaxae.runs.evaluation_set import EvaluationSet
from jaxae.training.lsuv import scale_layers

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


@pytest.fixture(scope="module")
def deep():
    """The network, parameters and images."""
    model, images = Deep("xla"), jax.random.uniform(jax.random.key(1), (6, 8, 8, 1))
    return model, jax.jit(model.init)(jax.random.key(0), images)["params"], images


def test_layers_are_in_numeric_order(deep):
    model, params, images = deep
    assert sorted(PATHS) != PATHS
    found = networks.list_layers(model)
    assert [layer.path for layer in found] == PATHS
    assert [layer.module.out_channels for layer in found] == [*UNITS, 1]
    assert list(networks.convolution_outputs(model, params, images)) == PATHS
    assert [activation.shape[-1] for activation in networks.activations(model, params, images)] == UNITS


def test_lsuv_scales_all_but_the_last_layer(deep):
    model, params, images = deep
    scaled = jax.jit(scale_layers, static_argnums=0)(model, params, images)
    same = [path for path in PATHS if tree_digest(scaled[path[0]]) == tree_digest(params[path[0]])]
    assert same == [("decoder_1",)]
    for path, output in networks.convolution_outputs(model, scaled, images).items():
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
