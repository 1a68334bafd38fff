"""Convolutions as matrix products over whole rows of an image: what stays products when batched over weights.

Activations lie as ``[height, batch, width, channels]``. Along the width a convolution is a product with a banded
(block-Toeplitz) matrix made from the kernel, along the height a sum of such products over the kernel's rows. Most of a
band is zeros, so there is more to multiply; but `jax.vmap` over weights makes batched products of it, where it makes
grouped convolutions of XLA's own.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxae.ops.lanes import relu
from jaxae.ops.types import Ops


def bands(kernel: Array, taps: np.ndarray) -> Array:
    """[kernel height, width · in, width' · out], where ``taps[w, w']`` is the kernel column that joins two columns.

    A tap that the kernel does not have joins nothing.
    """
    _, width, channels, features = kernel.shape
    columns, columns_out = taps.shape
    repeat_in = np.tile(np.eye(channels), (columns, 1)).astype(kernel.dtype)
    repeat_out = np.tile(np.eye(features), (1, columns_out)).astype(kernel.dtype)
    blocks = jnp.einsum("wi,abio,ov->abwv", repeat_in, kernel, repeat_out)
    joined = np.kron(taps, np.ones((channels, features), int)) == np.arange(width)[:, None, None]
    return jnp.where(joined, blocks, 0).sum(1)


def rows_seen(x: Array, taps: int, stride: int, low: int, rows: int) -> list[Array]:
    """For each row a of the kernel, ``x[stride · h + a - low]`` for h < `rows`, zero outside of `x`."""
    high = (rows - 1) * stride + taps - low - len(x)
    x = lax.pad(x, jnp.zeros((), x.dtype), ((low, high, 0), (0, 0, 0), (0, 0, 0)))
    return [lax.slice_in_dim(x, a, a + (rows - 1) * stride + 1, stride) for a in range(taps)]


def correlate(x: Array, band: Array, stride: int, low: int, rows: int) -> Array:
    """``y[h] = Σ_a x[stride · h + a - low] @ band[a]``."""
    seen = rows_seen(x, len(band), stride, low, rows)
    return sum((seen[a] @ band[a] for a in range(1, len(band))), seen[0] @ band[0])


def correlate_dilated(x: Array, band: Array, stride: int, low: int, rows: int) -> Array:
    """``y[h] = Σ_a x[(h + a - low) / stride] @ band[a]`` over the a for which that is whole."""
    if stride == 1:
        return correlate(x, band, 1, low, rows)
    most = -(-rows // stride)
    phases = []
    for phase in range(stride):  # output rows h ≡ phase meet every stride-th row of the kernel, from `first` on
        first = (low - phase) % stride
        if first < len(band):
            phases.append(correlate(x, band[first::stride], 1, (low - phase - first) // stride, most))
        else:
            phases.append(jnp.zeros((most, x.shape[1], band.shape[2]), x.dtype))
    return jnp.stack(phases, 1).reshape(most * stride, *phases[0].shape[1:])[:rows]


def adjoint(band: Array) -> Array:
    """The band of the transposed layer."""
    return band[::-1].transpose(0, 2, 1)


def band_gradient(x: Array, dy: Array, taps: int, stride: int, low: int) -> Array:
    """The gradient of ``sum(dy * correlate(x, band, stride, low, len(dy)))``."""
    return jnp.stack([jnp.einsum("hni,hno->io", seen, dy) for seen in rows_seen(x, taps, stride, low, len(dy))])


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _product(x: Array, band: Array, transposed: bool, stride: int, low: int, rows: int) -> Array:
    return (correlate_dilated if transposed else correlate)(x, band, stride, low, rows)


def _product_forward(x, band, transposed, stride, low, rows):
    return _product(x, band, transposed, stride, low, rows), (x, band)


def _product_backward(transposed, stride, low, rows, saved, dy):
    x, band = saved
    opposite = len(band) - 1 - low
    if transposed:
        dx = correlate(dy, adjoint(band), stride, opposite, len(x))
        return dx, adjoint(band_gradient(dy, x, len(band), stride, opposite))
    dx = correlate_dilated(dy, adjoint(band), stride, opposite, len(x))
    return dx, band_gradient(x, dy, len(band), stride, low)


_product.defvjp(_product_forward, _product_backward)


def _layer(x, kernel, bias, taps, transposed, stride, low, rows):
    height, batch, _, _ = x.shape
    y = _product(x.reshape(height, batch, -1), bands(kernel, taps), transposed, stride, low, rows)
    return y.reshape(rows, batch, taps.shape[1], -1) + bias[None, None, None]


def conv(x: Array, kernel: Array, bias: Array, *, stride: int = 1, padding: int = 0) -> Array:
    """PyTorch's `Conv2d`."""
    rows, columns = (
        (size + 2 * padding - k) // stride + 1 for size, k in zip(x.shape[::2], kernel.shape[:2], strict=True)
    )
    taps = np.arange(x.shape[2])[:, None] - stride * np.arange(columns) + padding
    return _layer(x, kernel, bias, taps, False, stride, padding, rows)


def conv_transpose(
    x: Array, kernel: Array, bias: Array, *, stride: int = 1, padding: int = 0, output_padding: int = 0
) -> Array:
    """PyTorch's `ConvTranspose2d`, with the kernel flipped in both spatial axes."""
    rows, columns = (
        (size - 1) * stride + k - 2 * padding + output_padding
        for size, k in zip(x.shape[::2], kernel.shape[:2], strict=True)
    )
    taps = stride * np.arange(x.shape[2])[:, None] - np.arange(columns) + kernel.shape[1] - 1 - padding
    return _layer(x, kernel, bias, taps, True, stride, kernel.shape[0] - 1 - padding, rows)


OPS = Ops("HNWC", conv, conv_transpose, relu)
