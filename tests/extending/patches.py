"""A convolution backend: every convolution as one matrix product of patches and kernel (im2col).

    python -m jaxae.experiments.mnist_denoise --import tests.extending.patches --train.backend patches

A backend may have any layout of activations; kernels are [height, width, in, out] in all of them.
"""

import jax.numpy as jnp
from jax import lax

from jaxae.ops import BACKENDS, Backend


def conv(x, kernel, bias, *, stride=1, padding=0):
    """PyTorch's `Conv2d`."""
    height, width, channels, features = kernel.shape
    patches = lax.conv_general_dilated_patches(
        x, (height, width), (stride, stride), [(padding, padding)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    weights = kernel.transpose(2, 0, 1, 3).reshape(channels * height * width, features)  # the order of a patch's values
    return patches @ weights + bias[None, None, None]


def conv_transpose(x, kernel, bias, *, stride=1, padding=0, output_padding=0):
    """PyTorch's `ConvTranspose2d`: the convolution of `x` with zeros between its pixels and around them."""
    rows, columns = ((size - 1 - padding, size - 1 - padding + output_padding, stride - 1) for size in kernel.shape[:2])
    dilated = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), rows, columns, (0, 0, 0)])
    return conv(dilated, kernel, bias)


BACKENDS["patches"] = Backend("NHWC", conv, conv_transpose)
