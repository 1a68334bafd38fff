"""Noise on images, with explicit keys: one kind (`jaxae.noise.kinds`) or several in a row, each with a strength.

    noise.gaussian(key, images, 0.5)
    noise.parse("salt_and_pepper,gaussian", "0.2,0.1..0.5")(key, images)

Images are floats in [0, 1], [..., height, width, channels]; noisy images have the same shape and dtype.
"""

import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from jaxae.config import NoiseConfig
from jaxae.errors import UserError
from jaxae.noise.kinds import (
    KINDS,
    Images,
    Kind,
    block_masking,
    gaussian,
    kind,
    masking,
    pepper,
    poisson,
    salt,
    salt_and_pepper,
    speckle,
    uniform,
)

__all__ = ["KINDS", "Kind", "Noise", "block_masking", "describe", "gaussian", "kind", "masking", "parse"]
__all__ += ["pepper", "poisson", "resolve_noise", "salt", "salt_and_pepper", "speckle", "uniform"]

_RULES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "factor": ("a number of at least 0", lambda value: 0 <= value < math.inf),
    "probability": ("between 0 and 1", lambda value: 0 <= value <= 1),
    "peak": ("a number above 0", lambda value: 0 < value < math.inf),
}


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass(frozen=True, eq=False)
class Noise:
    """Kinds of noise applied one after the other, each with a strength that is drawn from a range for every image.

    A pytree with one leaf, `ranges`: programs are compiled for the kinds, and strengths may be traced or batched.

    Attributes:
        kinds: names in `KINDS`; none leaves images unchanged.
        ranges: float32 [kinds, 2], the lowest and the highest strength of each kind; equal for a fixed strength.
        clip: whether images are clipped to [0, 1] after each kind.

    Raises:
        UserError: for an unknown kind or a strength that it cannot have.
    """

    kinds: tuple[str, ...] = ()
    ranges: Any = ()
    clip: bool = False

    def __post_init__(self):
        if len(self.kinds) != len(self.ranges):
            count = f"{len(self.kinds)} kinds of noise but {len(self.ranges)} factors"
            raise UserError(f"{count}: give each kind its own, separated by commas")
        for name, (low, high) in zip(self.kinds, self.ranges, strict=True):
            _check_range(name, low, high)
        object.__setattr__(self, "ranges", np.asarray(self.ranges, np.float32).reshape(-1, 2))

    def tree_flatten(self):
        """Return the leaves, and what a program is compiled for."""
        return (self.ranges,), (self.kinds, self.clip)

    @classmethod
    def tree_unflatten(cls, static, leaves):
        """Rebuild the noise around whatever JAX puts in the place of the strengths; numbers were checked before."""
        noise = object.__new__(cls)
        for name, value in zip(("kinds", "clip", "ranges"), (*static, *leaves), strict=True):
            object.__setattr__(noise, name, value)
        return noise

    @property
    def keeps_mean(self) -> bool:
        """Whether the mean over many draws is the image itself, so that noisy images can be targets."""
        # poisson clips values below 0, which any kind before it may produce
        return not self.clip and all(KINDS[name].keeps_mean for name in self.kinds) and "poisson" not in self.kinds[1:]

    def __call__(self, key: PRNGKeyArray, images: Images) -> Images:
        """Return noisy `images`; kind number i draws from ``fold_in(key, i)``."""
        ranges, count = jnp.asarray(self.ranges, jnp.float32), len(self.kinds)
        draws = jax.random.uniform(jax.random.fold_in(key, count), (count, *images.shape[:-3]), jnp.float32)
        for position, name in enumerate(self.kinds):
            low, high = ranges[position]
            strength = low + (high - low) * draws[position]
            images = KINDS[name].function(jax.random.fold_in(key, position), images, strength, clip=self.clip)
        return images


def parse(kind: str, factor: float | int | str | None = None, clip: bool = False) -> Noise:
    """Parse a noise as the command line names it.

    Args:
        kind: a name in `KINDS`; several separated by commas, applied from left to right; or "none".
        factor: the strength: a number; a range "0.1..0.5" from which every image draws its own (blind denoising);
            several separated by commas, one for each kind; or None for each kind's default.
        clip: whether images are clipped to [0, 1] after each kind.

    Raises:
        UserError: for an unknown kind or a strength that it cannot have.
    """
    kinds = tuple(name.strip() for name in kind.split(","))
    if kinds == ("none",):
        if factor is not None or clip:
            raise UserError("noise of kind none takes no factor and no clip: omit them, or name another kind")
        return Noise()
    if "none" in kinds:
        raise UserError(f"none cannot be combined with other kinds of noise, as in {kind!r}: omit it")
    if factor is None:
        ranges = tuple((KINDS[name].default,) * 2 for name in kinds)
    else:
        ranges = tuple(_parse_range(text) for text in str(factor).split(","))
    return Noise(kinds, ranges, clip)


MAX_FACTOR = 2  # of noise on images in [0, 1]; more is probably meant for values up to 255


def resolve_noise(config: NoiseConfig, gaussian_factor: float | str, has_pairs: bool) -> tuple[NoiseConfig, Noise]:
    """Return `config` with the kind and Gaussian strength written out, and its noise.

    Args:
        config: the options; of kind "auto" for Gaussian noise, or none on pairs, which are noisy already.
        gaussian_factor: the strength of Gaussian noise where `config` names none.
        has_pairs: whether the data set has pairs of noisy and clean images.

    Raises:
        UserError: see `parse`.
    """
    kind = config.kind if config.kind != "auto" else "none" if has_pairs else "gaussian"
    factor = gaussian_factor if kind == "gaussian" and config.factor is None else config.factor
    noise = parse(kind, factor, config.clip)
    for name, (_, high) in zip(noise.kinds, noise.ranges.tolist(), strict=True):
        if KINDS[name].strength == "factor" and high > MAX_FACTOR:
            message = (
                f"`factor` {high:g} of {name} noise is for images in [0, 1]; divided by 255 it is {high / 255:.3g}"
            )
            warnings.warn(message, stacklevel=2)
    return NoiseConfig(kind, factor, config.clip), noise


def describe(noise: Noise) -> str:
    """Return a short text for plots and tables: "gaussian 0.1..0.5 + salt 0.1", "none"."""
    ranges = (f"{low:g}" if low == high else f"{low:g}..{high:g}" for low, high in noise.ranges.tolist())
    text = " + ".join(f"{name} {range_}" for name, range_ in zip(noise.kinds, ranges, strict=True)) or "none"
    return f"{text}, clipped" if noise.clip else text


def _parse_range(text: str) -> tuple[float, float]:
    low, separator, high = text.partition("..")
    try:
        return float(low), float(high if separator else low)
    except ValueError:
        raise UserError(f"noise factor {text!r} is neither a number nor a range like 0.1..0.5") from None


def _check_range(kind: str, low: float, high: float) -> None:
    strength = KINDS[kind].strength
    rule, holds = _RULES[strength]
    for value in (low, high):
        if not holds(value):
            raise UserError(f"the {strength} of {kind} noise must be {rule}, not {value:g}")
    if low > high:
        raise UserError(f"the range of {kind} noise is the wrong way round: write {high:g}..{low:g}")
