"""Layers of any size, and what they must compute: XLA's own convolution, and plain NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from jaxae.ops import xla

# how a user's programs are compiled, whatever conftest.py says
OPTIMIZED = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}
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

    def both(*operands):
        y, pullback = jax.vjp(layer(way, transposed, arguments), *operands)
        return y, *pullback(cotangent)

    # bfloat16 as a user's programs are compiled: without optimizations (see conftest.py) it rounds more often
    narrow = any(operand.dtype == jnp.bfloat16 for operand in operands)
    return jax.jit(both, compiler_options=OPTIMIZED if narrow else None)(*operands)


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
