"""The products over rows against XLA's own convolution and against plain NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jaxae import models, ops
from jaxae.ops import rows, xla
from tests.ops.test_lanes import SIZES, layer, make, makes_a_layer, reference, value_and_gradients


@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "conv_transpose"])
@settings(max_examples=6, deadline=None)
@given(sizes=SIZES)
def test_matches_xla_in_value_and_gradients(transposed, sizes):
    assume(makes_a_layer(sizes, transposed))
    operands, arguments = make(sizes, transposed)
    operands = [jnp.asarray(a, jnp.float32) for a in operands]
    shape = jax.eval_shape(layer(xla.OPS, transposed, arguments), *operands).shape
    cotangent = jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)
    results = value_and_gradients(rows.OPS, transposed, arguments, operands, cotangent)
    expected = value_and_gradients(xla.OPS, transposed, arguments, operands, cotangent)
    for mine, theirs in zip(results, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)


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
    tolerance = {"float32": 1e-5, "bfloat16": 3e-2}[dtype]
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


@pytest.mark.parametrize("network", ["mnist", "cifar"])
def test_batched_over_weights_a_step_holds_products_and_no_convolution(network):
    model = models.build(network, "rows")
    images = jnp.zeros((4, *model.image_shape))
    params = jax.eval_shape(model.init, jax.random.key(0), images)

    def gradient(params, images):
        return jax.grad(lambda params: jnp.mean(jnp.square(model.apply(params, images) - images)))(params)

    many = jax.tree.map(lambda p: jax.ShapeDtypeStruct((2, *p.shape), p.dtype), params)
    hlo = jax.jit(jax.vmap(gradient, (0, None))).lower(many, images).as_text()
    assert "convolution" not in hlo
    assert "dot_general" in hlo


def test_auto_depends_on_the_backend():
    assert {backend: ops.resolve("auto", backend) for backend in ("cpu", "gpu")} == {"cpu": "lanes", "gpu": "xla"}
    assert models.CifarAutoencoder.micro_batches[ops.resolve("auto", "tpu")] == 128
