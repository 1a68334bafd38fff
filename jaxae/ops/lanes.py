"""Convolutions for CPUs: the batch in the vector lanes, direct sums for few channels, matrix products for many.

Activations are ``[height, channels, width, batch]``, so that every load is a whole, aligned vector. XLA's own CPU
convolutions are slow as gradients and slower inside a loop; this backend uses none.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxae.ops import toom_cook
from jaxae.ops.backend import Backend
from jaxae.ops.sums import bias_gradient, store, tree_sum

# A sum of more products than this is computed as a matrix product.
MOST_TERMS = 80


def pad(x: Array, rows: tuple[int, int], columns: tuple[int, int], dilation: tuple[int, int] = (0, 0)) -> Array:
    """Add zeros around the pixels of `x` (negative: crop), and `dilation` zeros between them."""
    config = ((*rows, dilation[0]), (0, 0, 0), (*columns, dilation[1]), (0, 0, 0))
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def padded(x: Array, rows: tuple[int, int], columns: tuple[int, int]) -> Array:
    """Return `x` with zeros around its pixels, stored."""
    return store(x if rows == columns == (0, 0) else pad(x, rows, columns))


def windows(x: Array, kernel_shape: tuple[int, ...], stride: int) -> list[Array]:
    """Return, for each tap of the kernel, the part of `x` that it is multiplied with: an image of the output's size."""
    rows, columns = ((size - k) // stride for size, k in zip(x.shape[::2], kernel_shape[:2], strict=True))
    return [
        x[a : a + stride * rows + 1 : stride, :, b : b + stride * columns + 1 : stride]
        for a in range(kernel_shape[0])
        for b in range(kernel_shape[1])
    ]


def as_matrix(x: Array) -> Array:
    """Reshape [h, c, w, n] to [c, h·w·n]."""
    return x.transpose(1, 0, 2, 3).reshape(x.shape[1], -1)


def is_product(kernel_shape: tuple[int, ...]) -> bool:
    """Return whether a convolution with a kernel of this shape is computed as a matrix product."""
    return math.prod(kernel_shape[:3]) > MOST_TERMS


def seen_by(x: Array, kernel_shape: tuple[int, ...], stride: int) -> Array:
    """Return the input of `correlate` and `kernel_gradient`: `x`, or for a product its im2col, [taps·c, h, w, n]."""
    if not is_product(kernel_shape):
        return x
    return store(jnp.concatenate([window.transpose(1, 0, 2, 3) for window in windows(x, kernel_shape, stride)]))


def correlate(seen: Array, kernel: Array, stride: int) -> Array:
    """Return the correlation without padding.

    Args:
        seen: the result of `seen_by`.
        kernel: [height, width, in, out].
        stride: of the correlation.
    """
    height, width, channels, features = kernel.shape
    if is_product(kernel.shape):
        y = kernel.reshape(-1, features).T @ seen.reshape(len(seen), -1)
        return y.reshape(features, *seen.shape[1:]).transpose(1, 0, 2, 3)
    of_taps = windows(seen, kernel.shape, stride)
    weights = kernel.reshape(height * width, channels, 1, features, 1, 1)
    return tree_sum([of_taps[t][:, i : i + 1] * weights[t, i] for t in range(len(of_taps)) for i in range(channels)])


def correlate_dilated(x: Array, kernel: Array, stride: int, padding: int, shape: Sequence[int]) -> Array:
    """Return the correlation with `x` dilated by `stride` and padded by k - 1 - `padding`, then up to `shape`."""
    if stride == 1 and not is_product(kernel.shape):
        height, width = kernel.shape[:2]
        low = (height - 1 - padding, width - 1 - padding)
        high = [out + k - 1 - size - n for out, k, size, n in zip(shape, kernel.shape, x.shape[::2], low, strict=False)]
        return correlate(padded(x, (low[0], high[0]), (low[1], high[1])), kernel, 1)
    return overlap_add(x, kernel, stride, padding, shape)


def overlap_add(x: Array, kernel: Array, stride: int, padding: int, shape: Sequence[int]) -> Array:
    """Return the same as `correlate_dilated` by one matrix product, the results of each tap added in their places."""
    height, width, channels, features = kernel.shape
    rows, _, columns, batch = x.shape
    product = store(kernel.transpose(0, 1, 3, 2).reshape(-1, channels) @ as_matrix(store(x)))
    product = product.reshape(height, width, features, rows, columns, batch).transpose(0, 1, 3, 2, 4, 5)

    def place(tap: int, k: int, size: int, out: int) -> tuple[int, int]:
        low = k - 1 - padding - tap
        return low, out - low - (size - 1) * stride - 1

    lines = []
    for a in range(height):
        line = [pad(product[a, b], (0, 0), place(b, width, columns, shape[1]), (0, stride - 1)) for b in range(width)]
        lines.append(pad(store(tree_sum(line)), place(a, height, rows, shape[0]), (0, 0), (stride - 1, 0)))
    return tree_sum(lines)


def kernel_gradient(seen: Array, dy: Array, kernel_shape: tuple[int, ...], stride: int) -> Array:
    """Return the gradient of ``sum(dy * correlate(seen, kernel, stride))`` to the kernel."""
    if is_product(kernel_shape):
        return jnp.einsum("kl,ol->ko", seen.reshape(len(seen), -1), as_matrix(dy)).reshape(kernel_shape)
    rows, _, columns, batch = dy.shape
    sums = []
    for window in windows(seen, kernel_shape, stride):
        products = [window[:, :, None, c] * dy[:, None, :, c] for c in range(columns)]
        by_row = store(tree_sum(products))
        sums.append(store(tree_sum([by_row[r] for r in range(rows)])))
    lanes = store(jnp.stack(sums)).reshape(-1, batch)
    return (lanes @ jnp.ones(batch, lanes.dtype)).reshape(kernel_shape)


def flipped(kernel: Array) -> Array:
    """Return the kernel of the adjoint: flipped in both spatial axes, inputs and outputs swapped."""
    return kernel[::-1, ::-1].transpose(0, 1, 3, 2)


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _conv(x: Array, kernel: Array, bias: Array, stride: int, padding: int) -> Array:
    return _conv_forward(x, kernel, bias, stride, padding)[0]


def _conv_forward(x, kernel, bias, stride, padding):
    x = store(x)
    seen = seen_by(padded(x, (padding, padding), (padding, padding)), kernel.shape, stride)
    return correlate(seen, kernel, stride) + bias[None, :, None, None], (x, seen, kernel)


def _conv_backward(stride, padding, saved, dy):
    x, seen, kernel = saved
    dy = store(dy)
    dx = correlate_dilated(dy, flipped(kernel), stride, padding, x.shape[::2])
    return dx, kernel_gradient(seen, dy, kernel.shape, stride), bias_gradient(dy)


_conv.defvjp(_conv_forward, _conv_backward)


def transposed_shape(
    shape: Sequence[int], taps: Sequence[int], stride: int, padding: int, output_padding: int
) -> tuple[int, int]:
    """Return the height and width of the output of a transposed convolution for an image of `shape`."""
    height, width = ((n - 1) * stride + k - 2 * padding + output_padding for n, k in zip(shape, taps, strict=True))
    return height, width


@partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def _conv_transpose(x: Array, kernel: Array, bias: Array, stride: int, padding: int, output_padding: int) -> Array:
    shape = transposed_shape(x.shape[::2], kernel.shape[:2], stride, padding, output_padding)
    return correlate_dilated(x, kernel, stride, padding, shape) + bias[None, :, None, None]


def _conv_transpose_forward(x, kernel, bias, stride, padding, output_padding):
    x = store(x)
    return _conv_transpose(x, kernel, bias, stride, padding, output_padding), (x, kernel)


def _conv_transpose_backward(stride, padding, output_padding, saved, dy):
    x, kernel = saved
    dy = store(dy)
    adjoint = flipped(kernel)
    pads = (padding, padding - output_padding)
    seen = seen_by(padded(dy, pads, pads), adjoint.shape, stride)
    dk = flipped(kernel_gradient(seen, x, adjoint.shape, stride))
    return correlate(seen, adjoint, stride), dk, bias_gradient(dy)


_conv_transpose.defvjp(_conv_transpose_forward, _conv_transpose_backward)


@jax.custom_vjp
def relu(x: Array) -> Array:
    """Return max(x, 0); its gradient reads the stored result, where autodiff's would compute `x` again."""
    return jnp.maximum(x, 0)


def _relu_forward(x):
    y = store(relu(x))
    return y, y


def _relu_backward(y, dy):
    return (jnp.where(y > 0, dy, 0),)


relu.defvjp(_relu_forward, _relu_backward)


def conv(x: Array, kernel: Array, bias: Array, *, stride: int = 1, padding: int = 0) -> Array:
    """PyTorch's `Conv2d`."""
    wide = x.shape[::2]
    narrow = tuple(n + 2 * padding - k + 1 for n, k in zip(wide, kernel.shape[:2], strict=True))
    axes = toom_cook.axes(kernel.shape, wide, narrow, padding=padding) if stride == 1 else None
    if axes is not None:
        return _widened(toom_cook.layer, x, kernel, bias, *axes)
    return _widened(_conv, x, kernel, bias, stride, padding)


def conv_transpose(
    x: Array, kernel: Array, bias: Array, *, stride: int = 1, padding: int = 0, output_padding: int = 0
) -> Array:
    """PyTorch's `ConvTranspose2d`, with the kernel flipped in both spatial axes."""
    narrow = x.shape[::2]
    wide = transposed_shape(narrow, kernel.shape[:2], stride, padding, output_padding)
    axes = toom_cook.axes(kernel.shape, wide, narrow, padding=padding, transposed=True) if stride == 1 else None
    if axes is not None:
        return _widened(toom_cook.layer, x, kernel, bias, *axes)
    return _widened(_conv_transpose, x, kernel, bias, stride, padding, output_padding)


def _widened(layer: Callable[..., Any], x: Array, kernel: Array, bias: Array, *arguments: Hashable) -> Array:
    """Compute `layer` in float32 if `x` is narrower, and round at the end: XLA:CPU rounds bfloat16 at every sum."""
    dtype = x.dtype if x.dtype.itemsize >= 4 else jnp.dtype(jnp.float32)
    y = layer(*(operand.astype(dtype) for operand in (x, kernel, bias)), *arguments)
    return y.astype(x.dtype)


# Barriers must be kept until fusion has run, and vectors as wide as the machine has them (XLA's default is 256 bits).
COMPILER_OPTIONS = {"xla_disable_hlo_passes": "cse_barrier_expander", "xla_cpu_prefer_vector_width": "512"}

BACKEND = Backend("HCWN", conv, conv_transpose, relu, COMPILER_OPTIONS)
