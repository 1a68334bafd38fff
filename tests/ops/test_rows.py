"""The products over rows against XLA's own convolution and against plain NumPy in float64."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jaxae import models, ops
from jaxae.ops import rows
from tests.layer_checks import SIZES, check_against_xla, make, makes_a_layer, reference, value_and_gradients


@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "conv_transpose"])
@settings(max_examples=6, deadline=None)
@given(sizes=SIZES)
def test_matches_xla_in_value_and_gradients(transposed, sizes):
    check_against_xla(rows.OPS, transposed, sizes)


@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "conv_transpose"])
@settings(max_examples=6, deadline=None)
@given(sizes=SIZES, dtype=st.sampled_from(["float32", "bfloat16"]))
def test_value_and_gradients_match_float64_numpy(transposed, sizes, dtype):
    assume(makes_a_layer(sizes, transposed))
    operands, arguments = make(sizes, transposed)
    rounded = [jnp.asarray(a, jnp.dtype(dtype)) for a in operands]
    exact = [np.asarray(a, np.float64) for a in rounded]
    all_arguments = {"output_padding": 0, **arguments}
    expected = reference(transposed, *exact, **all_arguments)
    cotangent = jnp.asarray(np.random.default_rng(1).normal(size=expected.shape), jnp.dtype(dtype))
    y, *gradients = value_and_gradients(rows.OPS, transposed, arguments, rounded, cotangent)
    tolerance = {"float32": 1e-5, "bfloat16": 6e-2}[dtype]  # the bias gradient sums hundreds of numbers in it
    assert y.dtype == jnp.dtype(dtype)
    np.testing.assert_allclose(y.astype(jnp.float32), expected, rtol=tolerance, atol=tolerance * 10)
    rng = np.random.default_rng(3)
    for i, gradient in enumerate(gradients):
        direction = rng.normal(size=exact[i].shape)
        ends = [[*exact[:i], exact[i] + step * direction, *exact[i + 1 :]] for step in (0.5, -0.5)]
        # exact but for rounding: the layer is linear in each operand
        change = np.subtract(*[reference(transposed, *end, **all_arguments) for end in ends])
        slope = np.sum(np.asarray(cotangent, np.float64) * change)
        scale = np.linalg.norm(np.asarray(gradient, np.float64)) * np.linalg.norm(direction) + 1
        assert abs(np.sum(np.asarray(gradient, np.float64) * direction) - slope) < 2 * tolerance * scale


def test_auto_depends_on_the_backend():
    assert {backend: ops.resolve("auto", backend) for backend in ("cpu", "gpu")} == {"cpu": "lanes", "gpu": "xla"}
    assert models.CifarAutoencoder.micro_batches[ops.resolve("auto", "tpu")] == 128
