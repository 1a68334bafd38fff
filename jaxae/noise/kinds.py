"""Kinds of noise: pure functions ``f(key, images, strength, *, clip=False) -> images``.

Images are floats in [0, 1], [..., height, width, channels], of any rank from 3 on and any float dtype. The result has
the same shape and dtype, and may leave [0, 1] unless `clip` is true. The strength (a factor, a probability or a peak)
is a number, or an array that broadcasts to the leading axes: one for each image. Noise is drawn and added in float32
(float64 for float64 images) and rounded once, because half-precision draws are coarse. Everything works under `jit`,
`vmap` and `grad`; replaced values and probabilities have gradient 0.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray, Real

from jaxae.errors import UserError
from jaxae.ops import random
from jaxae.registry import Registry

Images = Float[Array, "*batch height width channels"]
Strength = Real[ArrayLike, "..."]


class Kind(NamedTuple):
    """A kind of noise that the command line can name.

    Attributes:
        function: see the module.
        strength: what the strength is: "factor", "probability" or "peak".
        default: the strength where none is given.
        keeps_mean: whether the mean over many draws is the image itself.
    """

    function: Callable[..., Array]
    strength: str
    default: float
    keeps_mean: bool


KINDS: Registry[Kind] = Registry("kind of noise")
STRENGTHS = ("factor", "probability", "peak")


def kind(default: float, keeps_mean: bool = False) -> Callable[[Callable[..., Array]], Callable[..., Array]]:
    """Return a decorator that registers ``draw(key, images, strength)`` as a kind of noise under its own name.

    `draw` gets images in float32 or float64, and the strength in that dtype, shaped to multiply them. The name of its
    third parameter says what the strength is: factor, probability or peak. Further parameters are options.

    Args:
        default: the strength where none is given.
        keeps_mean: whether the mean over many draws is the image itself.

    Raises:
        UserError: if the third parameter has another name.
    """

    def decorate(draw: Callable[..., Array]) -> Callable[..., Array]:
        signature = inspect.signature(draw)
        strength = [*signature.parameters, "", "", ""][2]
        if strength not in STRENGTHS:
            raise UserError(f"noise {draw.__name__}: its third parameter must be one of {', '.join(STRENGTHS)}")
        clip = inspect.Parameter("clip", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=bool)

        @functools.wraps(draw)
        def noisy(key: PRNGKeyArray, images: Array, value: Any, *, clip: bool = False, **options: Any) -> Array:
            dtype = jnp.float64 if images.dtype == jnp.float64 else jnp.float32
            value = jnp.asarray(value, dtype)[..., None, None, None]
            value = jnp.broadcast_to(value, (*images.shape[:-3], 1, 1, 1))
            drawn = draw(key, images.astype(dtype), value, **options)
            return (jnp.clip(drawn, 0, 1) if clip else drawn).astype(images.dtype)

        shown = signature.replace(parameters=[*signature.parameters.values(), clip])
        noisy.__signature__ = shown  # pyright: ignore[reportAttributeAccessIssue]
        KINDS[draw.__name__] = Kind(noisy, strength, default, keeps_mean)
        return noisy

    return decorate


@kind(default=0.5, keeps_mean=True)
def gaussian(key: PRNGKeyArray, images: Images, factor: Strength) -> Images:
    """Additive white Gaussian noise, x + factor · N(0, 1): the factor is its standard deviation."""
    return images + factor * _normal(key, images)


@kind(default=0.5, keeps_mean=True)
def uniform(key: PRNGKeyArray, images: Images, factor: Strength) -> Images:
    """Additive uniform noise, x + factor · U(-1, 1): its standard deviation is factor / √3."""
    return images + factor * jax.random.uniform(key, images.shape, images.dtype, -1.0, 1.0)


@kind(default=0.5, keeps_mean=True)
def speckle(key: PRNGKeyArray, images: Images, factor: Strength) -> Images:
    """Multiplicative noise, x + factor · x · N(0, 1), as in `skimage.util.random_noise`."""
    return images + factor * images * _normal(key, images)


@kind(default=10.0, keeps_mean=True)
def poisson(key: PRNGKeyArray, images: Images, peak: Strength) -> Images:
    """Shot noise, Poisson(peak · x) / peak: the peak is the count of photons where x is 1.

    The mean is x and the variance x / peak (Foi et al., IEEE Transactions on Image Processing, 2008). Values below 0
    count as 0. Counts have no derivative: the gradient is that of the mean, 1 to the images and 0 to the peak (the
    straight-through estimator of Bengio et al., arXiv:1308.3432).
    """
    mean = jnp.maximum(images, 0)
    counts = random.sample_poisson(key, jax.lax.stop_gradient(mean * peak))
    sample = counts * jax.lax.stop_gradient(1 / peak)
    return sample + (mean - jax.lax.stop_gradient(mean))


@kind(default=0.2)
def salt(key: PRNGKeyArray, images: Images, probability: Strength) -> Images:
    """Each value, a channel of a pixel, becomes 1 with this probability (as in `skimage.util.random_noise`)."""
    return jnp.where(jax.random.uniform(key, images.shape, images.dtype) < probability, 1, images)


@kind(default=0.2)
def pepper(key: PRNGKeyArray, images: Images, probability: Strength) -> Images:
    """Each value, a channel of a pixel, becomes 0 with this probability (as in `skimage.util.random_noise`)."""
    return jnp.where(jax.random.uniform(key, images.shape, images.dtype) < probability, 0, images)


@kind(default=0.2)
def salt_and_pepper(key: PRNGKeyArray, images: Images, probability: Strength) -> Images:
    """Each value is hit with this probability, and then becomes 0 or 1, either equally likely (impulse noise)."""
    draw = jax.random.uniform(key, images.shape, images.dtype)
    return jnp.where(draw < probability / 2, 0, jnp.where(draw < probability, 1, images))


@kind(default=0.5)
def masking(key: PRNGKeyArray, images: Images, probability: Strength) -> Images:
    """Each pixel becomes 0 in all its channels with this probability.

    The noise of the first denoising autoencoders (Vincent et al., ICML 2008, section 2.3).
    """
    return jnp.where(jax.random.uniform(key, (*images.shape[:-1], 1), images.dtype) < probability, 0, images)


@kind(default=0.5)
def block_masking(key: PRNGKeyArray, images: Images, probability: Strength, block: int = 4) -> Images:
    """Each patch of `block` × `block` pixels on a grid becomes 0 with this probability; the last ones may be cut.

    The patches of masked autoencoders (He et al., CVPR 2022): there a fixed number of them, here each by itself.
    """
    *batch, height, width, _ = images.shape
    draw = jax.random.uniform(key, (*batch, -(-height // block), -(-width // block), 1), images.dtype)
    draw = jnp.repeat(jnp.repeat(draw, block, axis=-3), block, axis=-2)[..., :height, :width, :]
    return jnp.where(draw < probability, 0, images)


def _normal(key: PRNGKeyArray, x: Array) -> Array:
    """Normal numbers of the shape and dtype of `x`."""
    if x.dtype == jnp.float32:
        return random.normal(key, x.shape)
    return jax.random.normal(key, x.shape, x.dtype)
