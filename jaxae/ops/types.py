"""What a way of computing consists of."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array


class Ops(NamedTuple):
    """A way of computing: a layout and the two layers in it.

    layout: order of an activation's axes, a permutation of ``"NHWC"``.
    conv: ``conv(x, kernel, bias, *, stride, padding) -> y``, PyTorch's `Conv2d` (a correlation).
    conv_transpose: ``conv_transpose(x, kernel, bias, *, stride, padding, output_padding) -> y``, PyTorch's
        `ConvTranspose2d`. The kernel is flipped in both spatial axes against PyTorch's, as Linen keeps it: the layer
        is the correlation of `kernel` with `x` dilated by `stride` and padded by ``k - 1 - padding`` (and
        `output_padding` more at the end).
    """

    layout: str
    conv: Callable[..., Array]
    conv_transpose: Callable[..., Array]

    def enter(self, images: Array) -> Array:
        """From NHWC to this layout."""
        return jnp.transpose(images, ["NHWC".index(axis) for axis in self.layout])

    def leave(self, x: Array) -> Array:
        """From this layout to NHWC."""
        return jnp.transpose(x, [self.layout.index(axis) for axis in "NHWC"])
