"""Toom–Cook convolutions: their matrices against the definition, the layers against float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxae import models
from jaxae.ops import lanes, toom_cook, xla
from tests.ops.test_lanes import layer, make, value_and_gradients

AXES = st.builds(
    lambda taps, narrow, padding, transposed: toom_cook.Axis(
        taps, narrow + taps - 1 - 2 * padding, narrow, padding, transposed
    ),
    st.integers(3, 7),
    st.integers(3, 20),
    st.integers(0, 2),
    st.booleans(),
).filter(lambda axis: axis.wide > 0)

LAYERS = st.fixed_dictionaries(
    {
        "kernel": st.tuples(st.integers(3, 5), st.integers(3, 5)),
        "stride": st.just(1),
        "padding": st.integers(0, 2),
        "output_padding": st.just(0),
        "image": st.tuples(st.integers(6, 12), st.integers(6, 12)),
        "channels": st.integers(1, 3),
        "features": st.integers(1, 3),
    }
)


@pytest.fixture
def for_few_channels(monkeypatch):
    """Has `lanes` compute layers of few channels this way, in float64 where they are float64."""
    monkeypatch.setattr(toom_cook, "LEAST_CHANNELS", 1)
    monkeypatch.setattr(toom_cook, "MOST_TILES", 20)


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


def test_a_row_of_points_is_no_more_than_products_need():
    for narrow in range(1, 20):
        axis = toom_cook.Axis(5, narrow + 4, narrow)
        assert len(toom_cook.transforms(axis).x) == narrow + 4 * axis.tiles
        assert (narrow + 4 * (axis.tiles - 1)) / axis.tiles <= toom_cook.MOST_POINTS


def in_float64(transposed, arguments, operands, cotangent):
    """XLA's convolution and its gradients in float64."""
    with jax.enable_x64(True):
        return [np.asarray(a) for a in value_and_gradients(xla.OPS, transposed, arguments, operands, cotangent)]


def check(transposed, sizes, dtype, tolerance):
    """Value and gradients are the float64 ones within `tolerance` of the spread of each."""
    operands, arguments = make(sizes, transposed)
    rounded = [jnp.asarray(a, jnp.dtype(dtype)) for a in operands]
    shape = jax.eval_shape(layer(lanes.OPS, transposed, arguments), *rounded).shape
    cotangent = jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.dtype(dtype))
    results = value_and_gradients(lanes.OPS, transposed, arguments, rounded, cotangent)
    wide = [np.asarray(a, np.float64) for a in (*rounded, cotangent)]
    expected = in_float64(transposed, arguments, wide[:3], wide[3])
    for mine, theirs in zip(results, expected, strict=True):
        assert mine.dtype == jnp.dtype(dtype) and theirs.dtype == np.float64
        np.testing.assert_allclose(np.asarray(mine, np.float64), theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "conv_transpose"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 2**-8)])
def test_matches_float64_in_value_and_gradients(transposed, dtype, tolerance, for_few_channels, calls):
    @settings(max_examples=10, deadline=None)
    @given(sizes=LAYERS)
    def check_sizes(sizes):
        calls.clear()
        check(transposed, sizes, dtype, tolerance)
        assert calls

    check_sizes()
