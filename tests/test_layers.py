import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import ops
from jaxae.layers import Conv, ConvTranspose, torch_uniform


def made(layer, shape):
    x = jnp.zeros(shape)
    return layer, x, layer.init(jax.random.key(0), x)["params"]


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (Conv(ops.BACKENDS["xla"], 1, 4, 3, stride=2, padding=1), (2, 28, 28, 1), (2, 14, 14, 4)),
        (Conv(ops.BACKENDS["xla"], 3, 8, 5), (2, 9, 7, 3), (2, 5, 3, 8)),
        (
            ConvTranspose(ops.BACKENDS["xla"], 4, 2, 3, stride=2, padding=1, output_padding=1),
            (2, 7, 5, 4),
            (2, 14, 10, 2),
        ),
        (ConvTranspose(ops.BACKENDS["xla"], 8, 3, 3), (2, 6, 6, 8), (2, 8, 8, 3)),
    ],
)
def test_sizes_are_pytorchs(layer, shape, expected):
    layer, x, params = made(layer, shape)
    y = layer.apply({"params": params}, x)
    assert y.shape == expected
    assert params["kernel"].shape == (*(layer.kernel_size,) * 2, layer.in_channels, layer.out_channels)
    np.testing.assert_array_equal(y, jnp.broadcast_to(params["bias"], y.shape))  # of black images


@pytest.mark.parametrize(("kind", "fan_in"), [(Conv, 16 * 25), (ConvTranspose, 4 * 25)])
def test_weights_and_biases_fill_pytorchs_range(kind, fan_in):
    _, _, params = made(kind(ops.BACKENDS["xla"], 16, 4, 5), (1, 9, 9, 16))
    bound = fan_in**-0.5
    assert 0.98 * bound < np.abs(params["kernel"]).max() <= bound
    assert np.abs(params["bias"]).max() <= bound


def test_the_draw_is_uniform():
    drawn = torch_uniform(4)(jax.random.key(0), (10_000,))
    assert abs(float(drawn.mean())) < 0.01
    assert float(drawn.var()) == pytest.approx(0.25 / 3, rel=0.05)


def test_activations_keep_their_dtype_and_parameters_stay_float32():
    layer, x, params = made(Conv(ops.BACKENDS["lanes"], 1, 4, 3), (9, 1, 9, 2))
    assert layer.apply({"params": params}, x.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    computed = []
    recording = ops.BACKENDS["xla"]._replace(conv=lambda x, *arguments, **_: computed.extend(arguments) or x)
    Conv(recording, 1, 4, 3).apply({"params": params}, x.astype(jnp.bfloat16))
    assert [each.dtype for each in computed] == [jnp.bfloat16] * 2  # what the backend computes with
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}
