"""The ways of computing against XLA's own convolution and against plain NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jaxae import models, ops
from jaxae.errors import UserError
from jaxae.ops import lanes, xla

SIZES = st.fixed_dictionaries(
    {
        "kernel": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "stride": st.integers(1, 3),
        "padding": st.integers(0, 2),
        "output_padding": st.integers(0, 1),
        "image": st.tuples(st.integers(3, 8), st.integers(3, 8)),
        "channels": st.integers(1, 3),
        "features": st.integers(1, 4),
    }
)


def correlate_numpy(x, kernel, bias, stride, low, high, dilation):
    """Correlation in float64, from the definition."""
    n, h, w, _ = x.shape
    dilated = np.zeros((n, (h - 1) * dilation + 1, (w - 1) * dilation + 1, x.shape[3]))
    dilated[:, ::dilation, ::dilation] = x
    (top, left), (bottom, right) = low, high
    canvas = np.pad(dilated, [(0, 0), (max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0)), (0, 0)])
    canvas = canvas[
        :, max(-top, 0) : canvas.shape[1] - max(-bottom, 0), max(-left, 0) : canvas.shape[2] - max(-right, 0)
    ]
    windows = np.lib.stride_tricks.sliding_window_view(canvas, kernel.shape[:2], axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("nhwiab,abio->nhwo", windows, kernel) + bias


def reference(transposed, x, kernel, bias, stride, padding, output_padding):
    if not transposed:
        return correlate_numpy(x, kernel, bias, stride, (padding, padding), (padding, padding), 1)
    low = [k - 1 - padding for k in kernel.shape[:2]]
    return correlate_numpy(x, kernel, bias, 1, low, [value + output_padding for value in low], stride)


def makes_a_layer(sizes, transposed):
    stride, padding = sizes["stride"], sizes["padding"]
    # XLA:CPU (jaxlib 0.10.2 and 0.12.0) aborts the process over the gradient of its own convolution for 2×4 kernels and
    # such: "algebraic_simplifier.cc: Check failed: Window dimensions do not match RHS shape"
    if stride == 2 and padding == 1 and 2 in sizes["kernel"]:
        return False
    pairs = zip(sizes["image"], sizes["kernel"], strict=True)
    return all((n - 1) * stride + k > 2 * padding if transposed else n + 2 * padding >= k for n, k in pairs)


def make(sizes, transposed, seed=0):
    """Arrays of these sizes and the layer's arguments."""
    stride, padding = sizes["stride"], sizes["padding"]
    output_padding = min(sizes["output_padding"], stride - 1) if transposed else 0
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, *sizes["image"], sizes["channels"]))
    kernel = rng.normal(size=(*sizes["kernel"], sizes["channels"], sizes["features"]))
    arguments = {"stride": stride, "padding": padding}
    if transposed:
        arguments["output_padding"] = output_padding
    return (x, kernel, rng.normal(size=sizes["features"])), arguments


def layer(way, transposed, arguments):
    function = way.conv_transpose if transposed else way.conv

    @jax.jit
    def apply(x, kernel, bias):
        return way.leave(function(way.enter(x), kernel, bias, **arguments))

    return apply


def value_and_gradients(way, transposed, arguments, operands, cotangent):
    """The layer's value, and the gradients of its product with `cotangent`, as one program."""

    @jax.jit
    def both(*operands):
        y, pullback = jax.vjp(layer(way, transposed, arguments), *operands)
        return y, *pullback(cotangent)

    return both(*operands)


def check_against_xla(way, transposed, sizes, dtype="float32", rtol=1e-4, atol=1e-4):
    """Value and gradients of a layer in `dtype` are those that XLA's convolution gives in float32."""
    assume(makes_a_layer(sizes, transposed))
    operands, arguments = make(sizes, transposed)
    own = [jnp.asarray(a, jnp.dtype(dtype)) for a in operands]
    wide = [a.astype(jnp.float32) for a in own]
    shape = jax.eval_shape(layer(xla.OPS, transposed, arguments), *wide).shape
    cotangent = jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.dtype(dtype))
    results = value_and_gradients(way, transposed, arguments, own, cotangent)
    expected = value_and_gradients(xla.OPS, transposed, arguments, wide, cotangent.astype(jnp.float32))
    for mine, theirs in zip(results, expected, strict=True):
        assert mine.dtype == jnp.dtype(dtype)
        np.testing.assert_allclose(mine.astype(jnp.float32), theirs, rtol=rtol, atol=atol)


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
