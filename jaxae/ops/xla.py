"""XLA's own convolution in NHWC: the reference for the other backends, and fast on GPUs and TPUs."""

from functools import partial
from typing import cast

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxae.ops.backend import Backend
from jaxae.ops.lanes import relu

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
    if stride > 1:
        return _correlate(x, kernel, stride, padding) + bias[None, None, None]
    return cast(Array, _correlate_densely(x, kernel, stride, padding)) + bias[None, None, None]


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
    return cast(Array, _transpose(x, kernel, stride, padding, output_padding)) + bias[None, None, None]


def _correlate(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    pads = [(padding, padding)] * 2
    return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=DIMENSION_NUMBERS)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _correlate_densely(x: Array, kernel: Array, stride: int, padding: int) -> Array:
    """`_correlate` with stride 1, and with gradients that are fast on a CPU too.

    In a loop, such as the steps of an epoch, XLA:CPU computes its own gradients by the definition, value after value.
    """
    return _correlate(x, kernel, stride, padding)


def _dense_forward(x: Array, kernel: Array, stride: int, padding: int) -> tuple[Array, tuple[Array, Array]]:
    return _correlate(x, kernel, stride, padding), (x, kernel)


def _dense_backward(stride: int, padding: int, saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    def autodiff(x: Array, kernel: Array, gradient: Array) -> tuple[Array, Array]:
        return jax.vjp(lambda x, kernel: _correlate(x, kernel, stride, padding), x, kernel)[1](gradient)

    gradients = partial(_gradients_on_cpu, padding=padding)
    return lax.platform_dependent(*saved, gradient, cpu=gradients, default=autodiff)


_correlate_densely.defvjp(_dense_forward, _dense_backward)


def _gradients_on_cpu(x: Array, kernel: Array, gradient: Array, padding: int) -> tuple[Array, Array]:
    """Return the gradient to the image as a convolution, and that to the kernel as a matrix product for each tap."""
    (height, width), (rows, columns) = kernel.shape[:2], gradient.shape[1:3]
    flipped = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
    pads = [(k - 1 - padding, k - 1 - padding) for k in kernel.shape[:2]]
    of_x = lax.conv_general_dilated(gradient, flipped, (1, 1), pads, dimension_numbers=DIMENSION_NUMBERS)
    padded = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    flat = gradient.reshape(-1, gradient.shape[-1])
    seen = [padded[:, a : a + rows, b : b + columns] for a in range(height) for b in range(width)]
    of_kernel = jnp.stack([each.reshape(len(flat), -1).T @ flat for each in seen])
    return of_x, of_kernel.reshape(kernel.shape)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _transpose(x: Array, kernel: Array, stride: int, padding: int, output_padding: int) -> Array:
    """The transpose of `_correlate` in its image, with the kernel flipped and its channels exchanged.

    Its gradients are written as those of that correlation, which libraries provide. Autodiff's own are of an image
    dilated by `stride`, for which XLA:GPU copies both operands to another layout.
    """
    if stride > 1:  # XLA:GPU calls the library's transpose only for a separate flip, and else writes the dilated image
        flipped = lax.rev(kernel, (0, 1))
        flipped = lax.platform_dependent(flipped, cuda=lax.optimization_barrier, default=lambda kernel: kernel)
        kernel = lax.rev(flipped, (0, 1))
    pads = [(k - 1 - padding, k - 1 - padding + output_padding) for k in kernel.shape[:2]]
    return lax.conv_general_dilated(
        x, kernel, (1, 1), pads, lhs_dilation=(stride, stride), dimension_numbers=DIMENSION_NUMBERS
    )


def _forward(x: Array, kernel: Array, *sizes: int) -> tuple[Array, tuple[Array, Array]]:
    return _transpose(x, kernel, *sizes), (x, kernel)


def _backward(stride: int, padding: int, _: int, saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = saved

    def back(kernel: Array) -> Array:
        return _correlate(gradient, jnp.swapaxes(lax.rev(kernel, (0, 1)), 2, 3), stride, padding)

    of_x, of_kernel = jax.vjp(back, kernel)
    return of_x, *of_kernel(x)


_transpose.defvjp(_forward, _backward)


BACKEND = Backend("NHWC", conv, conv_transpose, relu)
