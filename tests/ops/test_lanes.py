"""The ways of computing against XLA's own convolution and against plain NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jaxae import models, ops
from jaxae.errors import UserError
from jaxae.ops import lanes
from tests.layer_checks import SIZES, check_against_xla, layer, make, makes_a_layer, reference, value_and_gradients


@pytest.mark.parametrize("most_terms", [0, 10**6], ids=["products", "sums"])
@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "conv_transpose"])
@settings(max_examples=12, deadline=None)
@given(sizes=SIZES)
def test_lanes_matches_xla_in_value_and_gradients(most_terms, transposed, sizes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "MOST_TERMS", most_terms)
        check_against_xla(lanes.OPS, transposed, sizes)


@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "conv_transpose"])
@settings(max_examples=8, deadline=None)
@given(sizes=SIZES)
def test_bfloat16_gradients_are_float32_ones_rounded(transposed, sizes):
    check_against_xla(lanes.OPS, transposed, sizes, dtype="bfloat16", rtol=2**-7, atol=1e-3)


@pytest.mark.parametrize("way", ["xla", "lanes"])
@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "conv_transpose"])
@settings(max_examples=10, deadline=None)
@given(sizes=SIZES, dtype=st.sampled_from(["float32", "bfloat16"]))
def test_matches_float64_numpy(way, transposed, sizes, dtype):
    assume(makes_a_layer(sizes, transposed))
    operands, arguments = make(sizes, transposed)
    rounded = [jnp.asarray(a, jnp.dtype(dtype)) for a in operands]
    y = layer(ops.pick(way), transposed, arguments)(*rounded)
    assert y.dtype == jnp.dtype(dtype)
    expected = reference(
        transposed, *[np.asarray(a, np.float64) for a in rounded], **{"output_padding": 0, **arguments}
    )
    tolerance = {"float32": 1e-5, "bfloat16": 3e-2}[dtype]
    np.testing.assert_allclose(y.astype(jnp.float32), expected, rtol=tolerance, atol=tolerance * 10)


@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "conv_transpose"])
@pytest.mark.parametrize("most_terms", [0, 10**6], ids=["products", "sums"])
def test_gradients_match_finite_differences_of_the_float64_reference(transposed, most_terms, monkeypatch):
    monkeypatch.setattr(lanes, "MOST_TERMS", most_terms)
    sizes = {
        "kernel": (3, 2),
        "stride": 2,
        "padding": 1,
        "output_padding": 1,
        "image": (5, 4),
        "channels": 2,
        "features": 3,
    }
    operands, arguments = make(sizes, transposed)
    shape = reference(transposed, *operands, **{"output_padding": 0, **arguments}).shape
    cotangent = np.random.default_rng(2).normal(size=shape)
    single = [jnp.asarray(a, jnp.float32) for a in operands]
    _, *gradients = value_and_gradients(lanes.OPS, transposed, arguments, single, jnp.asarray(cotangent, jnp.float32))
    rng = np.random.default_rng(3)
    for i, gradient in enumerate(gradients):
        direction = rng.normal(size=operands[i].shape)

        def moved(step, i=i, direction=direction):
            shifted = [a + step * direction if j == i else a for j, a in enumerate(operands)]
            return np.sum(cotangent * reference(transposed, *shifted, **{"output_padding": 0, **arguments}))

        slope = moved(0.5) - moved(-0.5)  # exact: the layer is linear in each operand
        np.testing.assert_allclose(np.sum(np.asarray(gradient, np.float64) * direction), slope, rtol=1e-4)


def test_relu_matches_linen():
    x = jnp.array([-1.0, 0.0, 2.0])
    value, gradient = jax.value_and_grad(lambda x: (lanes.relu(x) * jnp.array([1.0, 2.0, 3.0])).sum())(x)
    assert value == 6
    np.testing.assert_array_equal(gradient, [0, 0, 3])


@pytest.mark.parametrize("network", ["mnist", "cifar"])
def test_a_step_and_a_population_of_steps_hold_no_convolution(network):
    model = models.build(network, "lanes")
    images = jnp.zeros((16, *model.image_shape))
    params = jax.eval_shape(model.init, jax.random.key(0), images)

    def gradient(params, images):
        return jax.grad(lambda params: jnp.mean(jnp.square(model.apply(params, images) - images)))(params)

    def text(function, params):
        return jax.jit(function).lower(params, images).as_text()

    population = jax.tree.map(lambda p: jax.ShapeDtypeStruct((2, *p.shape), p.dtype), params)
    for hlo in (text(gradient, params), text(jax.vmap(gradient, (0, None)), population)):
        assert "convolution" not in hlo
        assert "feature_group_count" not in hlo
    assert "dot_general" in text(jax.vmap(gradient, (0, None)), population)


@pytest.mark.parametrize("network", ["mnist", "cifar"])
def test_a_population_computes_what_its_members_do(network):
    model = models.build(network, "lanes")
    images = jax.random.uniform(jax.random.key(1), (2, *model.image_shape))
    members = [jax.jit(model.init)(jax.random.key(seed), images) for seed in (0, 1)]
    together = jax.jit(jax.vmap(model.apply, (0, None)))(jax.tree.map(lambda *p: jnp.stack(p), *members), images)
    for member, restored in zip(members, together, strict=True):
        np.testing.assert_allclose(restored, jax.jit(model.apply)(member, images), atol=1e-5)


def test_an_unknown_way_names_those_there_are():
    with pytest.raises(UserError, match="no way of computing is called 'fast'; there are: auto, xla, lanes"):
        ops.pick("fast")


def test_auto_is_lanes_on_a_cpu():
    assert ops.resolve("auto") == "lanes"
    assert ops.compiler_options("auto") == lanes.COMPILER_OPTIONS
    assert ops.compiler_options("xla") == {}
