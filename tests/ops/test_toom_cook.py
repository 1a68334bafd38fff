"""Toom–Cook convolutions: their matrices against the definition, the layers against float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxae import networks
from jaxae.ops import lanes, toom_cook
from tests.layer_checks import check, layer

AXES = st.builds(
    lambda taps, narrow, padding, transposed: toom_cook.Axis(
        taps, narrow + taps - 1 - 2 * padding, narrow, padding, transposed
    ),
    st.integers(3, 7),
    st.integers(3, 20),
    st.integers(0, 2),
    st.booleans(),
).filter(lambda axis: axis.wide > 0)

PLAIN = {"stride": 1, "padding": 0, "output_padding": 0}


@pytest.fixture
def for_few_channels(monkeypatch):
    """Has `lanes` compute layers of few channels this way too."""
    monkeypatch.setattr(toom_cook, "LEAST_CHANNELS", 1)


@pytest.fixture
def calls(monkeypatch):
    """The axes of every layer that is computed this way."""
    calls, original = [], toom_cook.layer

    def recording(x, kernel, bias, rows, columns):
        calls.append((rows, columns))
        return original(x, kernel, bias, rows, columns)

    monkeypatch.setattr(toom_cook, "layer", recording)
    return calls


@settings(max_examples=60, deadline=None)
@given(axis=AXES)
def test_the_matrices_of_an_axis_are_its_convolution(axis):
    product = np.einsum("pj,px,py->jxy", *toom_cook.transforms(axis))
    tap, wide, narrow = np.ogrid[: axis.taps, : axis.wide, : axis.narrow]
    if axis.transposed:
        product, tap = product.transpose(0, 2, 1), axis.taps - 1 - tap
    np.testing.assert_allclose(product, wide == narrow + tap - axis.padding, atol=1e-12)


def test_a_tile_of_m_outputs_takes_m_plus_4_products_for_5_taps_and_never_more_than_8():
    for narrow, tiles in ((1, 1), (3, 1), (4, 1), (5, 2), (8, 2), (9, 3)):
        axis = toom_cook.Axis(5, narrow + 4, narrow)
        assert axis.tiles == tiles
        assert len(toom_cook.transforms(axis).x) == narrow + 4 * tiles <= toom_cook.MOST_POINTS * tiles


@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "conv_transpose"])
@pytest.mark.parametrize(
    ("dtype", "tolerance", "kernel", "padding", "narrow"),
    [
        ("float32", 1e-5, (5, 5), 0, (3, 3)),
        ("float32", 1e-5, (3, 4), 1, (7, 4)),  # two tiles by one
        ("bfloat16", 2**-8, (4, 3), 0, (2, 3)),
    ],
)
def test_matches_float64_in_value_and_gradients(
    transposed, dtype, tolerance, kernel, padding, narrow, for_few_channels, calls
):
    image = narrow if transposed else [m + k - 1 - 2 * padding for m, k in zip(narrow, kernel, strict=True)]
    sizes = {
        "transposed": transposed,
        "kernel": kernel,
        "image": image,
        "padding": padding,
        "channels": 2,
        "features": 3,
    }
    check(lanes.BACKEND, PLAIN | sizes, dtype, tolerance)
    assert calls


@pytest.mark.parametrize(
    ("network", "size", "layers"),
    [
        ("mnist", 28, [(7, 3), (7, 3)]),
        ("mnist", 40, [(10, 6), (10, 6)]),  # in two tiles
        ("mnist", 20, []),  # one output
        ("mnist", 64, []),  # three tiles
        ("cifar", 32, []),  # few channels
    ],
)
def test_which_layers_of_the_networks_are_computed_so(network, size, layers, calls):
    model = networks.build(network, "lanes")
    jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((2, size, size, model.image_shape[2])))
    assert [(rows.wide, rows.narrow) for rows, _ in calls] == layers
    assert [rows.transposed for rows, _ in calls] == [False, True][: len(layers)]


@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "conv_transpose"])
def test_batched_over_weights_it_is_what_each_computes(transposed, calls):
    rng, sizes = np.random.default_rng(0), PLAIN | {"transposed": transposed}
    x = jnp.asarray(rng.normal(size=(3, 3, 3, 16) if transposed else (3, 7, 7, 16)), jnp.float32)
    kernels = jnp.asarray(rng.normal(size=(2, 5, 5, 16, 17)), jnp.float32)
    biases = jnp.asarray(rng.normal(size=(2, 17)), jnp.float32)

    def gradients(kernel, bias):
        return jax.grad(lambda *operands: jnp.sum(layer(lanes.BACKEND, sizes)(x, *operands) ** 2), (0, 1))(kernel, bias)

    together = jax.jit(jax.vmap(gradients))(kernels, biases)
    assert calls
    for member in range(2):
        alone = jax.jit(gradients)(kernels[member], biases[member])
        for many, one in zip(together, alone, strict=True):
            np.testing.assert_allclose(many[member], one, rtol=0, atol=1e-5 * np.abs(one).max())
