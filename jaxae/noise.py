"""Noise on images: each kind is a pure function ``f(key, images, strength, clip=False) -> images``.

Images are floats in [0, 1], ``[..., height, width, channels]``, of any rank from 3 on and any float dtype. The result
has the same shape and dtype; it leaves [0, 1] where the noise takes it there, unless `clip` is true. The strength (a
factor, a probability or a peak) is a number, or an array that broadcasts to the leading axes: one for each image. Noise
is drawn and added in float32 (float64 for float64 images) and rounded once, since half-precision draws are coarse. All
works under `jit`, `vmap` and `grad`; a value that is replaced has gradient 0, and so has a probability.
"""

import dataclasses
import difflib
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray, Real

from jaxae.errors import UserError
from jaxae.ops import random

Images = Float[Array, "*batch height width channels"]
Strength = Real[ArrayLike, "..."]


def gaussian(key: PRNGKeyArray, images: Images, factor: Strength, clip: bool = False) -> Images:
    """Additive white Gaussian noise, x + factor · N(0, 1): the factor is its standard deviation."""
    x, factor = _prepare(images, factor)
    return _finish(x + factor * _normal(key, x), images, clip)


def uniform(key: PRNGKeyArray, images: Images, factor: Strength, clip: bool = False) -> Images:
    """Additive uniform noise, x + factor · U(-1, 1): its standard deviation is factor / √3."""
    x, factor = _prepare(images, factor)
    return _finish(x + factor * jax.random.uniform(key, x.shape, x.dtype, -1.0, 1.0), images, clip)


def speckle(key: PRNGKeyArray, images: Images, factor: Strength, clip: bool = False) -> Images:
    """Multiplicative noise, x + factor · x · N(0, 1), as in `skimage.util.random_noise`."""
    x, factor = _prepare(images, factor)
    return _finish(x + factor * x * _normal(key, x), images, clip)


def poisson(key: PRNGKeyArray, images: Images, peak: Strength, clip: bool = False) -> Images:
    """Shot noise, Poisson(peak · x) / peak: the peak is the count of photons where x is 1.

    The mean is x and the variance x / peak (Foi et al., IEEE Transactions on Image Processing, 2008). Values below 0
    count as 0. Counts have no derivative: the gradient is that of the mean, 1 to the images and 0 to the peak (the
    straight-through estimator of Bengio et al., arXiv:1308.3432).
    """
    x, peak = _prepare(images, peak)
    mean = jnp.maximum(x, 0)
    counts = random.poisson(key, jax.lax.stop_gradient(mean * peak))
    sample = counts * jax.lax.stop_gradient(1 / peak)
    return _finish(sample + (mean - jax.lax.stop_gradient(mean)), images, clip)


def salt(key: PRNGKeyArray, images: Images, probability: Strength, clip: bool = False) -> Images:
    """Each value, a channel of a pixel, becomes 1 with this probability (as in `skimage.util.random_noise`)."""
    x, probability = _prepare(images, probability)
    return _finish(jnp.where(jax.random.uniform(key, x.shape, x.dtype) < probability, 1, x), images, clip)


def pepper(key: PRNGKeyArray, images: Images, probability: Strength, clip: bool = False) -> Images:
    """Each value, a channel of a pixel, becomes 0 with this probability (as in `skimage.util.random_noise`)."""
    x, probability = _prepare(images, probability)
    return _finish(jnp.where(jax.random.uniform(key, x.shape, x.dtype) < probability, 0, x), images, clip)


def salt_and_pepper(key: PRNGKeyArray, images: Images, probability: Strength, clip: bool = False) -> Images:
    """Each value is hit with this probability, and then becomes 0 or 1, either equally likely (impulse noise)."""
    x, probability = _prepare(images, probability)
    draw = jax.random.uniform(key, x.shape, x.dtype)
    return _finish(jnp.where(draw < probability / 2, 0, jnp.where(draw < probability, 1, x)), images, clip)


def masking(key: PRNGKeyArray, images: Images, probability: Strength, clip: bool = False) -> Images:
    """Each pixel becomes 0 in all its channels with this probability.

    The corruption of the first denoising autoencoders (Vincent et al., ICML 2008, section 2.3).
    """
    x, probability = _prepare(images, probability)
    return _finish(jnp.where(jax.random.uniform(key, (*x.shape[:-1], 1), x.dtype) < probability, 0, x), images, clip)


def block_masking(
    key: PRNGKeyArray, images: Images, probability: Strength, block: int = 4, clip: bool = False
) -> Images:
    """Each patch of `block` × `block` pixels on a grid becomes 0 with this probability; the last ones may be cut.

    The patches of masked autoencoders (He et al., CVPR 2022): there a fixed number of them, here each by itself.
    """
    x, probability = _prepare(images, probability)
    *batch, height, width, _ = x.shape
    draw = jax.random.uniform(key, (*batch, -(-height // block), -(-width // block), 1), x.dtype)
    draw = jnp.repeat(jnp.repeat(draw, block, axis=-3), block, axis=-2)[..., :height, :width, :]
    return _finish(jnp.where(draw < probability, 0, x), images, clip)


def _normal(key: PRNGKeyArray, x: Array) -> Array:
    """Normal numbers of the shape and dtype of `x`."""
    if x.dtype == jnp.float32:
        return random.normal(key, x.shape)
    return jax.random.normal(key, x.shape, x.dtype)


def _prepare(images: Array, strength: ArrayLike) -> tuple[Array, Array]:
    """`images` in the dtype to compute in, and `strength` in that dtype, shaped to multiply them."""
    dtype = jnp.float64 if images.dtype == jnp.float64 else jnp.float32
    strength = jnp.asarray(strength, dtype)[..., None, None, None]
    return images.astype(dtype), jnp.broadcast_to(strength, (*images.shape[:-3], 1, 1, 1))


def _finish(x: Array, images: Array, clip: bool) -> Array:
    return (jnp.clip(x, 0, 1) if clip else x).astype(images.dtype)


class Kind(NamedTuple):
    """A kind of noise that the command line can name."""

    function: Callable[..., Array]
    strength: str  # what its strength is, a name in `_RULES`
    default: float
    keeps_mean: bool = False  # whether the mean over many draws is the image itself


_RULES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "factor": ("a number of at least 0", lambda value: 0 <= value < math.inf),
    "probability": ("between 0 and 1", lambda value: 0 <= value <= 1),
    "peak": ("a number above 0", lambda value: 0 < value < math.inf),
}


KINDS: dict[str, Kind] = {
    "gaussian": Kind(gaussian, "factor", 0.5, keeps_mean=True),
    "uniform": Kind(uniform, "factor", 0.5, keeps_mean=True),
    "speckle": Kind(speckle, "factor", 0.5, keeps_mean=True),
    "poisson": Kind(poisson, "peak", 10.0, keeps_mean=True),
    "salt": Kind(salt, "probability", 0.2),
    "pepper": Kind(pepper, "probability", 0.2),
    "salt_and_pepper": Kind(salt_and_pepper, "probability", 0.2),
    "masking": Kind(masking, "probability", 0.5),
    "block_masking": Kind(block_masking, "probability", 0.5),
}


@dataclasses.dataclass(frozen=True)
class Noise:
    """Kinds of noise applied one after the other, each with a strength drawn per image from a range.

    kinds: names in `KINDS`; none at all leaves images as they are.
    ranges: (lowest, highest) strength of each kind, equal where the strength is fixed.
    clip: whether the images are clipped to [0, 1] after each kind.

    Hashable, for static arguments of `jit`. Raises UserError for what is not such a noise.
    """

    kinds: tuple[str, ...] = ()
    ranges: tuple[tuple[float, float], ...] = ()
    clip: bool = False

    def __post_init__(self):
        if len(self.kinds) != len(self.ranges):
            count = f"{len(self.kinds)} kinds of noise but {len(self.ranges)} factors"
            raise UserError(f"{count}: give each kind its own, separated by commas")
        for kind, (low, high) in zip(self.kinds, self.ranges, strict=True):
            _check_range(kind, low, high)

    @property
    def strengths(self) -> Float[np.ndarray, "kinds 2"]:
        """`ranges` as an array, in the form that `apply` takes."""
        return np.asarray(self.ranges, np.float32).reshape(-1, 2)

    @property
    def keeps_mean(self) -> bool:
        """Whether the mean over many draws is the image itself, so that noisy images can serve as targets."""
        # after another kind, values below 0 are there for poisson to cut off
        return not self.clip and all(KINDS[kind].keeps_mean for kind in self.kinds) and "poisson" not in self.kinds[1:]

    def __call__(self, key: PRNGKeyArray, images: Images) -> Images:
        """`images` with this noise on them."""
        return self.apply(key, images, self.strengths)

    def apply(self, key: PRNGKeyArray, images: Images, strengths: Float[ArrayLike, "kinds 2"]) -> Images:
        """`images` with noise of these kinds but other ranges of strength, which may be traced or batched by `vmap`.

        Kind number i draws from ``fold_in(key, i)``.
        """
        strengths = jnp.asarray(strengths, jnp.float32)
        count = len(self.kinds)
        draws = jax.random.uniform(jax.random.fold_in(key, count), (count, *images.shape[:-3]), jnp.float32)
        for position, kind in enumerate(self.kinds):
            low, high = strengths[position]
            strength = low + (high - low) * draws[position]
            images = KINDS[kind].function(jax.random.fold_in(key, position), images, strength, clip=self.clip)
        return images


def parse(kind: str, factor: float | int | str | None = None, clip: bool = False) -> Noise:
    """The noise that a command line names.

    kind: a name in `KINDS`, several separated by commas (applied from left to right), or ``"none"``.
    factor: a number; a range ``"0.1..0.5"``, to draw from for each image (blind denoising); one of these for each kind,
        separated by commas; or None for each kind's default.
    clip: whether the images are clipped to [0, 1] after each kind.

    Raises UserError, naming the remedy, for whatever is not such a noise.
    """
    kinds = tuple(name.strip() for name in kind.split(","))
    if kinds == ("none",):
        if factor is not None or clip:
            raise UserError("noise of kind none takes no factor and no clip: leave them out, or name another kind")
        return Noise()
    if "none" in kinds:
        raise UserError(f"none stands alone among kinds of noise, not in {kind!r}: leave it out")
    if factor is None:
        ranges = tuple((_look_up(name).default,) * 2 for name in kinds)
    else:
        ranges = tuple(_parse_range(text) for text in str(factor).split(","))
    return Noise(kinds, ranges, clip)


def describe(noise: Noise) -> str:
    """A short text for figures and tables: ``"gaussian 0.1..0.5 + salt 0.1"``, ``"none"``."""
    ranges = (f"{low:g}" if low == high else f"{low:g}..{high:g}" for low, high in noise.ranges)
    text = " + ".join(f"{kind} {range_}" for kind, range_ in zip(noise.kinds, ranges, strict=True)) or "none"
    return f"{text}, clipped" if noise.clip else text


def _look_up(name: str) -> Kind:
    if name not in KINDS:
        close = difflib.get_close_matches(name, [*KINDS, "none"], n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(f"there is no noise of kind {name!r}{hint} (there are: {', '.join(KINDS)}, none)")
    return KINDS[name]


def _parse_range(text: str) -> tuple[float, float]:
    low, separator, high = text.partition("..")
    try:
        return float(low), float(high if separator else low)
    except ValueError:
        raise UserError(f"noise factor {text!r} is neither a number nor a range like 0.1..0.5") from None


def _check_range(kind: str, low: float, high: float) -> None:
    strength = _look_up(kind).strength
    rule, holds = _RULES[strength]
    for value in (low, high):
        if not holds(value):
            raise UserError(f"the {strength} of {kind} noise must be {rule}, not {value:g}")
    if low > high:
        raise UserError(f"the range of {kind} noise is the wrong way round: write {high:g}..{low:g}")
