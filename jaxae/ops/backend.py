"""The interface of a convolution backend."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental.layout import Layout, with_layout_constraint


class Backend(NamedTuple):
    """A way to compute convolutions: a memory layout and two layers that work in it.

    Attributes:
        layout: the order of an activation's axes, a permutation of ``"NHWC"``.
        conv: ``conv(x, kernel, bias, *, stride, padding) -> y``, PyTorch's `Conv2d` (a cross-correlation).
        conv_transpose: ``conv_transpose(x, kernel, bias, *, stride, padding, output_padding) -> y``, PyTorch's
            `ConvTranspose2d`. Kernels are flipped in both spatial axes relative to PyTorch's, as in Linen: the layer is
            the correlation of `kernel` with `x` dilated by `stride` and padded by ``k - 1 - padding`` (plus
            `output_padding` at the end).
        relu: ``max(x, 0)``, with gradient 0 at ``x == 0``.
        compiler_options: options for the `jax.jit` of a program that uses this backend on a CPU.
    """

    layout: str
    conv: Callable[..., Array]
    conv_transpose: Callable[..., Array]
    relu: Callable[[Array], Array] = jax.nn.relu
    compiler_options: Mapping[str, str] = MappingProxyType({})

    @property
    def channel_axis(self) -> int:
        """The axis of the channels."""
        return self.layout.index("C")

    def enter(self, images: Array) -> Array:
        """Convert from NHWC to this layout."""
        if self.layout == "NHWC":
            return images
        x = jnp.transpose(images, ["NHWC".index(axis) for axis in self.layout])
        return lax.optimization_barrier(with_layout_constraint(x, Layout(tuple(range(x.ndim)))))

    def leave(self, x: Array) -> Array:
        """Convert from this layout to NHWC."""
        if self.layout == "NHWC":
            return x
        return jnp.transpose(lax.optimization_barrier(x), [self.layout.index(axis) for axis in "NHWC"])
