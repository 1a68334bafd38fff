"""Pictures restored by a trained network: how strongly, and what noise it found.

A network that is not told how strong the noise is takes fine texture for noise. Where noise is even over a picture, the
flatter half shows how strong it is, so nowhere more is taken away than there, and a picture with next to no noise stays
as it is. That holds for networks that say from which noise on they make pictures better (`Network.least_noise`).
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
WINDOW = 9  # pixels a side in which the noise is measured
INSIDE = 0.9  # the share of pixels in a window that are neither black nor white, which clips noise

Picture = Float32[np.ndarray, "_ _ _"]  # [height, width, channels]; pictures differ
Compile = Callable[[TrainedRun, tiles.Tiling], Callable[[np.ndarray], Any]]


class Restored(NamedTuple):
    """A restored picture.

    Attributes:
        tag: what came with the picture.
        values: the restored values, those of the picture itself if `noise` is next to none.
        noise: an estimate of the standard deviation of the noise, see `limit_removal`.
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
            limited, noise = limit_removal(noisy, values)
            least = own.network.least_noise
            if least is not None:
                values = noisy if noise < least else limited
            yield Restored(tag, noisy if values is noisy else noisy + np.float32(strength) * (values - noisy), noise)


def limit_removal(noisy: Picture, restored: Picture) -> tuple[Picture, float]:
    """Limit what was taken away from a picture, in each window, to the median over all windows.

    Args:
        noisy: the picture.
        restored: what the network made of it.

    Returns:
        The restored picture, and that median: the standard deviation of the noise, if half of the picture is flat.
    """
    from scipy.ndimage import uniform_filter

    removed = restored - noisy
    local = np.sqrt(np.maximum(uniform_filter(np.mean(np.square(removed), -1), WINDOW), 0))
    inside = uniform_filter(np.float32(np.all((noisy > 0) & (noisy < 1), -1)), WINDOW) > INSIDE
    noise = float(np.median(local[inside] if inside.any() else local))
    share = np.minimum(1, noise / np.maximum(local, np.finfo(np.float32).tiny))
    return noisy + share.astype(np.float32)[..., None] * removed, noise
