"""What a way of computing consists of."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental.layout import Layout, with_layout_constraint


class Ops(NamedTuple):
    """A way of computing: a layout and the two layers in it.

    layout: order of an activation's axes, a permutation of ``"NHWC"``.
    conv: ``conv(x, kernel, bias, *, stride, padding) -> y``, PyTorch's `Conv2d` (a correlation).
    conv_transpose: ``conv_transpose(x, kernel, bias, *, stride, padding, output_padding) -> y``, PyTorch's
        `ConvTranspose2d`. The kernel is flipped in both spatial axes against PyTorch's, as Linen keeps it: the layer
        is the correlation of `kernel` with `x` dilated by `stride` and padded by ``k - 1 - padding`` (and
        `output_padding` more at the end).
    relu: ``max(x, 0)``; its gradient where ``x == 0`` is 0.
    compiler_options: for the `jax.jit` around a program that uses this way.
    """

    layout: str
    conv: Callable[..., Array]
    conv_transpose: Callable[..., Array]
    relu: Callable[[Array], Array] = jax.nn.relu
    compiler_options: Mapping[str, str] = MappingProxyType({})

    def enter(self, images: Array) -> Array:
        """From NHWC to this layout."""
        if self.layout == "NHWC":
            return images
        x = jnp.transpose(images, ["NHWC".index(axis) for axis in self.layout])
        return lax.optimization_barrier(with_layout_constraint(x, Layout(tuple(range(x.ndim)))))

    def leave(self, x: Array) -> Array:
        """From this layout to NHWC."""
        if self.layout == "NHWC":
            return x
        return jnp.transpose(lax.optimization_barrier(x), [self.layout.index(axis) for axis in "NHWC"])
