"""Layers of any size against their definition: plain NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

# how a user's programs are compiled, whatever conftest.py says
OPTIMIZED = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}


def makes_a_layer(sizes):
    """Whether it has an output."""
    stride, padding = sizes["stride"], sizes["padding"]
    pairs = zip(sizes["image"], sizes["kernel"], strict=True)
    return all((n - 1) * stride + k > 2 * padding if sizes["transposed"] else n + 2 * padding >= k for n, k in pairs)


LAYERS = st.fixed_dictionaries(
    {
        "transposed": st.booleans(),
        "kernel": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "stride": st.integers(1, 3),
        "padding": st.integers(0, 2),
        "output_padding": st.integers(0, 1),
        "image": st.tuples(st.integers(3, 8), st.integers(3, 8)),
        "channels": st.integers(1, 3),
        "features": st.integers(1, 4),
    }
).filter(makes_a_layer)


def correlate(x, kernel, bias, cotangent, stride, low, high, dilation):
    """A correlation of `x`, dilated and padded, and the gradients of its product with `cotangent` (None: no gradients).

    Padding below 0 cuts off.
    """
    size = [(n - 1) * dilation + 1 + a + b for n, a, b in zip(x.shape[1:3], low, high, strict=True)]
    places = [np.arange(n) * dilation + a for n, a in zip(x.shape[1:3], low, strict=True)]
    kept = [(at >= 0) & (at < n) for at, n in zip(places, size, strict=True)]
    inner = (slice(None), *np.ix_(*kept))
    outer = (slice(None), *np.ix_(*(at[keep] for at, keep in zip(places, kept, strict=True))))
    canvas = np.zeros((len(x), *size, x.shape[3]))
    canvas[outer] = x[inner]
    height, width = ((n - k) // stride + 1 for n, k in zip(size, kernel.shape, strict=False))
    taps = {
        (a, b): np.s_[:, a : a + (height - 1) * stride + 1 : stride, b : b + (width - 1) * stride + 1 : stride]
        for a in range(kernel.shape[0])
        for b in range(kernel.shape[1])
    }
    value = bias + sum(canvas[seen] @ kernel[tap] for tap, seen in taps.items())
    if cotangent is None:
        return [value]
    of_canvas, of_kernel, of_x = np.zeros_like(canvas), np.zeros_like(kernel), np.zeros_like(x)
    for tap, seen in taps.items():
        of_canvas[seen] += cotangent @ kernel[tap].T
        of_kernel[tap] = np.einsum("nhwi,nhwo->io", canvas[seen], cotangent)
    of_x[inner] = of_canvas[outer]
    return [value, of_x, of_kernel, cotangent.sum((0, 1, 2))]


def definition(sizes, operands, cotangent=None):
    """The layer's value, and its gradients as `correlate` gives them."""
    stride, padding = sizes["stride"], sizes["padding"]
    if not sizes["transposed"]:
        return correlate(*operands, cotangent, stride, (padding, padding), (padding, padding), 1)
    low = [k - 1 - padding for k in sizes["kernel"]]
    return correlate(*operands, cotangent, 1, low, [a + output_padding(sizes) for a in low], stride)


def output_padding(sizes):
    return min(sizes["output_padding"], sizes["stride"] - 1)


def operands_of(sizes, seed=0):
    """Images, kernel and bias of these sizes, in float64."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, *sizes["image"], sizes["channels"]))
    kernel = rng.normal(size=(*sizes["kernel"], sizes["channels"], sizes["features"]))
    return x, kernel, rng.normal(size=sizes["features"])


def layer(backend, sizes):
    """The layer as `backend` computes it: a function of images, kernel and bias."""
    arguments = {"stride": sizes["stride"], "padding": sizes["padding"]}
    if sizes["transposed"]:
        arguments["output_padding"] = output_padding(sizes)
    function = backend.conv_transpose if sizes["transposed"] else backend.conv
    return lambda x, kernel, bias: backend.leave(function(backend.enter(x), kernel, bias, **arguments))


def check(backend, sizes, dtype="float32", tolerance=2e-6):
    """Value and gradients in `dtype` are those of the definition, within `tolerance` of the largest sum of magnitudes.

    That sum, the definition of operands without their signs, is what rounding errors follow: results may cancel.
    """
    rounded = [jnp.asarray(a, jnp.dtype(dtype)) for a in operands_of(sizes)]
    exact = [np.asarray(a, np.float64) for a in rounded]
    [value] = definition(sizes, exact)
    cotangent = jnp.asarray(np.random.default_rng(1).normal(size=value.shape), jnp.dtype(dtype))

    def both(*operands):
        value, pullback = jax.vjp(layer(backend, sizes), *operands)
        return value, *pullback(cotangent)

    # bfloat16 as a user's programs are compiled: without optimizations (see conftest.py) it rounds more often
    results = jax.jit(both, compiler_options=OPTIMIZED if dtype == "bfloat16" else None)(*rounded)
    cotangent = np.asarray(cotangent, np.float64)
    expected = definition(sizes, exact, cotangent)
    magnitudes = definition(sizes, [np.abs(a) for a in exact], np.abs(cotangent))
    for mine, theirs, most in zip(results, expected, magnitudes, strict=True):
        assert mine.dtype == jnp.dtype(dtype)
        np.testing.assert_allclose(np.asarray(mine, np.float64), theirs, rtol=0, atol=tolerance * most.max())
