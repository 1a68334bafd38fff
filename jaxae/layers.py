"""Convolution and transposed convolution as Linen modules with PyTorch's arguments and initial weights."""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from jaxae.ops.backend import Backend


def torch_uniform(fan_in: int) -> nn.initializers.Initializer:
    """Return the initializer U(-1/√fan_in, 1/√fan_in), as PyTorch draws weights and biases of these layers."""
    bound = fan_in**-0.5

    def init(key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


class _Convolution(nn.Module):
    """The parameters of both layers: a kernel ``[k, k, in, out]`` and a bias ``[out]``, in float32.

    Attributes:
        ops: the backend, which also defines the layout of activations.
        in_channels: of the input.
        out_channels: of the output.
        kernel_size: height and width of the kernel.
        stride: as PyTorch defines it, like `padding`.
        padding: pixels of zeros on every side.
    """

    ops: Backend
    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int = 1
    padding: int = 0

    def parameters(self, dtype: jnp.dtype, fan_in_channels: int) -> tuple[Array, Array]:
        shape = (self.kernel_size, self.kernel_size, self.in_channels, self.out_channels)
        init = torch_uniform(fan_in_channels * self.kernel_size**2)
        kernel = self.param("kernel", init, shape)
        bias = self.param("bias", init, (self.out_channels,))
        return kernel.astype(dtype), bias.astype(dtype)


class Conv(_Convolution):
    """PyTorch's `Conv2d`, on activations in the layout of `ops` and computed in their dtype."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map [batch, height, width, in_channels] in the layout of `ops` to [batch, height', width', out_channels]."""
        kernel, bias = self.parameters(x.dtype, self.in_channels)
        return self.ops.conv(x, kernel, bias, stride=self.stride, padding=self.padding)


class ConvTranspose(_Convolution):
    """PyTorch's `ConvTranspose2d` with the kernel flipped in both spatial axes; see `Conv`."""

    output_padding: int = 0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Map [batch, height, width, in_channels] in the layout of `ops` to [batch, height', width', out_channels]."""
        # PyTorch takes the fan-in of a transposed layer from the second axis of its weight, the output channels.
        kernel, bias = self.parameters(x.dtype, self.out_channels)
        return self.ops.conv_transpose(
            x, kernel, bias, stride=self.stride, padding=self.padding, output_padding=self.output_padding
        )
