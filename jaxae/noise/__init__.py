"""Noise on images, with explicit keys: kinds of noise (`jaxae.noise.kinds`), one or several in a row, with strengths.

    noise.gaussian(key, images, 0.5)
    noise.parse("salt_and_pepper,gaussian", "0.2,0.1..0.5")(key, images)

Images are floats in [0, 1], ``[..., height, width, channels]``; shape and dtype stay.
"""

import dataclasses
import difflib
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

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

__all__ = [
    "KINDS",
    "Kind",
    "Noise",
    "block_masking",
    "describe",
    "gaussian",
    "kind",
    "masking",
    "parse",
    "pepper",
    "poisson",
    "salt",
    "salt_and_pepper",
    "speckle",
    "uniform",
]

_RULES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "factor": ("a number of at least 0", lambda value: 0 <= value < math.inf),
    "probability": ("between 0 and 1", lambda value: 0 <= value <= 1),
    "peak": ("a number above 0", lambda value: 0 < value < math.inf),
}


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass(frozen=True, eq=False)
class Noise:
    """Kinds of noise applied one after the other, each with a strength drawn per image from a range.

    kinds: names in `KINDS`; none at all leaves images as they are.
    ranges: float32 [kinds, 2], (lowest, highest) strength of each kind, equal where the strength is fixed.
    clip: whether the images are clipped to [0, 1] after each kind.

    A pytree whose one leaf is `ranges`: programs are compiled for the kinds, and strengths may be traced or batched.
    Raises UserError for what is not such a noise.
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
        """The strengths, and what a program is compiled for."""
        return (self.ranges,), (self.kinds, self.clip)

    @classmethod
    def tree_unflatten(cls, static, leaves):
        """The inverse, for whatever JAX puts in the strengths' place; they were checked when they were numbers."""
        noise = object.__new__(cls)
        for name, value in zip(("kinds", "clip", "ranges"), (*static, *leaves), strict=True):
            object.__setattr__(noise, name, value)
        return noise

    @property
    def keeps_mean(self) -> bool:
        """Whether the mean over many draws is the image itself, so that noisy images can serve as targets."""
        # after another kind, values below 0 are there for poisson to cut off
        return not self.clip and all(KINDS[name].keeps_mean for name in self.kinds) and "poisson" not in self.kinds[1:]

    def __call__(self, key: PRNGKeyArray, images: Images) -> Images:
        """`images` with this noise on them; kind number i draws from ``fold_in(key, i)``."""
        ranges, count = jnp.asarray(self.ranges, jnp.float32), len(self.kinds)
        draws = jax.random.uniform(jax.random.fold_in(key, count), (count, *images.shape[:-3]), jnp.float32)
        for position, name in enumerate(self.kinds):
            low, high = ranges[position]
            strength = low + (high - low) * draws[position]
            images = KINDS[name].function(jax.random.fold_in(key, position), images, strength, clip=self.clip)
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
    ranges = (f"{low:g}" if low == high else f"{low:g}..{high:g}" for low, high in noise.ranges.tolist())
    text = " + ".join(f"{name} {range_}" for name, range_ in zip(noise.kinds, ranges, strict=True)) or "none"
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
