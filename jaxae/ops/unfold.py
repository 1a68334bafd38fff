"""Convolutions as one matrix product each, over unfolded images (im2col).

A convolution gathers the window of each output (`unfold_patches`) and multiplies it by the kernel. A transposed
convolution multiplies each input by the kernel and adds up the overlapping results (`fold_patches`). One is the
transpose of the other, so that the gradients of both consist of the same two. Under `jax.vmap` over weights the
products become batched products, while XLA's convolutions become grouped ones.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxae.ops.backend import Backend
from jaxae.ops.lanes import relu


def unfold_patches(x: Array, taps: Sequence[int], stride: int, padding: int, size: Sequence[int]) -> Array:
    """Return ``y[n, h, w, a · width + b, c] = x[n, stride · h + a - padding, stride · w + b - padding, c]``.

    Args:
        x: images [n, height, width, c], 0 outside.
        taps: height and width of the kernel, the ranges of a and b.
        stride: of the convolution.
        padding: of the convolution.
        size: height and width of the output, the ranges of h and w.
    """
    ends = [(least - 1) * stride + tap for least, tap in zip(size, taps, strict=True)]  # rows and columns after padding
    highs = [end - padding - length for end, length in zip(ends, x.shape[1:3], strict=True)]
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (padding, highs[0], 0), (padding, highs[1], 0), (0, 0, 0)))
    seen = [
        x[:, a : a + (size[0] - 1) * stride + 1 : stride, b : b + (size[1] - 1) * stride + 1 : stride]
        for a in range(taps[0])
        for b in range(taps[1])
    ]
    return jnp.stack(seen, 3)


def fold_patches(y: Array, taps: Sequence[int], stride: int, padding: int, size: Sequence[int]) -> Array:
    """Return the transpose of `unfold_patches`: [n, h, w, a · width + b, c] added up to [n, *size, c]."""
    shape = (len(y), *size, y.shape[-1])
    seen = partial(unfold_patches, taps=taps, stride=stride, padding=padding, size=y.shape[1:3])
    return jax.linear_transpose(seen, jax.ShapeDtypeStruct(shape, y.dtype))(y)[0]


def conv(x: Array, kernel: Array, bias: Array, *, stride: int = 1, padding: int = 0) -> Array:
    """PyTorch's `Conv2d`."""
    taps = kernel.shape[:2]
    size = tuple((n + 2 * padding - k) // stride + 1 for n, k in zip(x.shape[1:3], taps, strict=True))
    seen = unfold_patches(x, taps, stride, padding, size)
    flat = seen.reshape(-1, taps[0] * taps[1] * x.shape[-1])
    y = flat @ kernel.reshape(flat.shape[1], -1)
    return y.reshape(len(x), *size, -1) + bias[None, None, None]


def conv_transpose(
    x: Array, kernel: Array, bias: Array, *, stride: int = 1, padding: int = 0, output_padding: int = 0
) -> Array:
    """PyTorch's `ConvTranspose2d`, with the kernel flipped in both spatial axes."""
    taps = kernel.shape[:2]
    size = tuple((n - 1) * stride + k - 2 * padding + output_padding for n, k in zip(x.shape[1:3], taps, strict=True))
    y = jnp.einsum("nhwi,tio->nhwto", x, kernel.reshape(-1, *kernel.shape[2:]))
    # The kernel is flipped: its first tap is the last of `unfold_patches`.
    return fold_patches(y[:, :, :, ::-1], taps, stride, padding, size) + bias[None, None, None]


BACKEND = Backend("NHWC", conv, conv_transpose, relu)
