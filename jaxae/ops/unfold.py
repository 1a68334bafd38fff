"""Convolutions as one product each, over unfolded images (im2col): what stays products when batched over weights.

A convolution gathers what each of its outputs sees, `unfold`, and multiplies that by its kernel; a transposed
convolution multiplies each of its inputs by its kernel and adds up what falls on each output, `fold`. One is the
other's transpose, so that the gradients of either are made of the same two. `jax.vmap` over weights makes batched
products of the products, where it makes grouped convolutions of XLA's own.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxae.ops.lanes import relu
from jaxae.ops.types import Ops


def unfold(x: Array, taps: tuple[int, int], stride: int, padding: int, size: tuple[int, int]) -> Array:
    """``y[n, h, w, a · width + b, c] = x[n, stride · h + a - padding, stride · w + b - padding, c]`` for h, w < `size`.

    taps: how many a and b there are, the height and the width of a kernel. Zero outside of `x`.
    """
    ends = [(least - 1) * stride + tap for least, tap in zip(size, taps, strict=True)]  # of the padded rows and columns
    highs = [end - padding - length for end, length in zip(ends, x.shape[1:3], strict=True)]
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (padding, highs[0], 0), (padding, highs[1], 0), (0, 0, 0)))
    seen = [
        x[:, a : a + (size[0] - 1) * stride + 1 : stride, b : b + (size[1] - 1) * stride + 1 : stride]
        for a in range(taps[0])
        for b in range(taps[1])
    ]
    return jnp.stack(seen, 3)


def fold(y: Array, taps: tuple[int, int], stride: int, padding: int, size: tuple[int, int]) -> Array:
    """The transpose of `unfold`: [n, h, w, a · width + b, c] added up to [n, *size, c]."""
    shape = (len(y), *size, y.shape[-1])
    seen = partial(unfold, taps=taps, stride=stride, padding=padding, size=y.shape[1:3])
    return jax.linear_transpose(seen, jax.ShapeDtypeStruct(shape, y.dtype))(y)[0]


def conv(x: Array, kernel: Array, bias: Array, *, stride: int = 1, padding: int = 0) -> Array:
    """PyTorch's `Conv2d`."""
    taps = kernel.shape[:2]
    size = tuple((n + 2 * padding - k) // stride + 1 for n, k in zip(x.shape[1:3], taps, strict=True))
    seen = unfold(x, taps, stride, padding, size)
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
    # Flipped, so the first of its taps goes where the last of `unfold` was seen.
    return fold(y[:, :, :, ::-1], taps, stride, padding, size) + bias[None, None, None]


OPS = Ops("NHWC", conv, conv_transpose, relu)
