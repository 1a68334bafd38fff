"""XLA's own convolution, in NHWC: the reference for every other way, and a good one on GPU and TPU."""

from jax import lax
from jaxtyping import Array, Float

from jaxae.ops.lanes import relu
from jaxae.ops.types import Ops

DIMENSION_NUMBERS = ("NHWC", "HWIO", "NHWC")


def conv(
    x: Float[Array, "n h w i"],
    kernel: Float[Array, "kh kw i o"],
    bias: Float[Array, " o"],
    *,
    stride: int = 1,
    padding: int = 0,
) -> Float[Array, "n h2 w2 o"]:
    """PyTorch's `Conv2d`."""
    pads = [(padding, padding)] * 2
    y = lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=DIMENSION_NUMBERS)
    return y + bias[None, None, None]


def conv_transpose(
    x: Float[Array, "n h w i"],
    kernel: Float[Array, "kh kw i o"],
    bias: Float[Array, " o"],
    *,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
) -> Float[Array, "n h2 w2 o"]:
    """PyTorch's `ConvTranspose2d`, with the kernel flipped in both spatial axes."""
    pads = [(k - 1 - padding, k - 1 - padding + output_padding) for k in kernel.shape[:2]]
    y = lax.conv_general_dilated(
        x, kernel, (1, 1), pads, lhs_dilation=(stride, stride), dimension_numbers=DIMENSION_NUMBERS
    )
    return y + bias[None, None, None]


OPS = Ops("NHWC", conv, conv_transpose, relu)
