"""Pictures restored by a trained network: how strongly, and what noise it found.

A picture with next to no noise stays as it is, if the network says from which noise on it makes pictures better
(`Network.least_noise`).
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from jaxae.denoising import tiles
from jaxae.errors import UserError
from jaxae.runs.trained import TrainedRun, load_twin

AHEAD = 6  # pictures whose sizes choose the tiles
QUARTILE = 1.1503  # three quarters of normal values are less than this from their mean, in standard deviations

Picture = Float32[np.ndarray, "_ _ _"]  # [height, width, channels]; pictures differ
Compile = Callable[[TrainedRun, tiles.Tiling], Callable[[np.ndarray], Any]]


class Restored(NamedTuple):
    """A restored picture.

    Attributes:
        tag: what came with the picture.
        values: the restored values, those of the picture itself if `noise` is next to none.
        noise: an estimate of the standard deviation of the noise, from what the network takes away: too low by up to a
            quarter where noise is strong or the picture is mostly black or white.
    """

    tag: Any
    values: Picture
    noise: float


def restore(
    run: TrainedRun,
    pictures: Iterable[tuple[Any, Picture]],
    strength: float = 1.0,
    compile_network: Compile = tiles.compile_network,
) -> Iterator[Restored]:
    """Restore pictures, in order.

    Args:
        run: the network; a grey picture goes to its twin for grey ones, if it has one.
        pictures: a tag and the values in [0, 1] of each picture.
        strength: how much of what the network takes away is taken away, above 0 and at most 1.
        compile_network: `tiles.compile_network`, or a function that calls it.

    Raises:
        UserError: if `strength` is not between 0 and 1.
    """
    if not 0 < strength <= 1:
        raise UserError(f"`strength` {strength:g}: must be above 0, which takes nothing away, and at most 1")
    for channels, group in itertools.groupby(pictures, lambda picture: picture[1].shape[2]):
        own = load_twin(run) if channels == 1 else run
        rest, given = iter(group), deque[Picture]()
        first = list(itertools.islice(rest, AHEAD))
        tiling = tiles.choose_tiling(type(own.network), [values.shape[:2] for _, values in first])

        def noted(pictures: Iterable[tuple[Any, Picture]], given: deque[Picture] = given) -> Iterator[Any]:
            for picture in pictures:
                given.append(picture[1])
                yield picture

        apply, stream = compile_network(own, tiling), noted(itertools.chain(first, rest))
        for tag, values in tiles.restore_pictures(apply, tiling, own.network.image_shape[2], stream):
            noisy = given.popleft()
            noise = estimate_noise(noisy, values)
            kept = noise < own.network.least_noise
            yield Restored(tag, noisy if kept else noisy + np.float32(strength) * (values - noisy), noise)


def estimate_noise(noisy: Float32[np.ndarray, "..."], restored: Float32[np.ndarray, "..."]) -> float:
    """Return the standard deviation of a normal distribution with the upper quartile of what was taken away."""
    return float(np.quantile(np.abs(restored - noisy), 0.75)) / QUARTILE
