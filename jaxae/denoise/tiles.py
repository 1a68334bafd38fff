"""Pictures of any size through a network of one compiled shape: cut into overlapping tiles, restored, put together.

Tiles of all pictures share the batches. How they are cut depends on what the network knows:

- `exact`: the network's output at a pixel depends on few pixels around it. A tile's outer pixels, up to that reach, are
  only there to be seen, and the result is that of the network on the whole picture, continued as far as the margin.
- `blended`: the network's code sees a whole image of the size it was trained on, and on a larger picture its decoder
  adds up more than it ever did in training. So it sees windows of that size, each pixel in many, and their results are
  averaged, those near a window's middle counting most.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from jaxae.models import Autoencoder

CORES = 32, 64, 128  # sides of what an exact tile contributes
BATCH_PIXELS = 150_000  # in a batch of tiles; on 2 CPU cores the fastest of those tried

Picture = Float32[np.ndarray, "height width channels"]
Planes = Float32[np.ndarray, "planes height width taken"]  # taken by the network: its channels


class Tiling(NamedTuple):
    """Square tiles of `size` pixels, one every `step`, the last against the picture's end.

    margin: pixels by which the picture is first continued, mirrored, on every side.
    weights: float32 [size], how much each row and column of a tile's result counts.
    batch: tiles in a batch.
    """

    size: int
    step: int
    margin: int
    weights: Float32[np.ndarray, " size"]
    batch: int

    def starts(self, length: int) -> list[int]:
        """Where along an axis of `length` pixels, continued and no shorter than a tile, the tiles begin."""
        last = length - self.size
        return [*range(0, last, self.step), last]


def exact(core: int, reach: int) -> Tiling:
    """Tiles that contribute their `core` × `core` pixels and see `reach` more on every side."""
    size = core + 2 * reach
    weights = np.zeros(size, np.float32)
    weights[reach : reach + core] = 1
    return Tiling(size, core, reach, weights, max(1, BATCH_PIXELS // size**2))


def blended(size: int, step: int) -> Tiling:
    """Windows every `step` pixels, weighted with a squared sine; a picture of one window's size is that window."""
    weights = np.sin(np.pi * (np.arange(size, dtype=np.float32) + 0.5) / size) ** 2
    return Tiling(size, step, 0, weights, max(1, BATCH_PIXELS // size**2))


def tiling_for(model: type[Autoencoder], sizes: Iterable[tuple[int, int]]) -> Tiling:
    """How to cut pictures of `sizes` [height, width] for a network, with the least to compute."""
    reach = model.reach
    if reach is None:
        side = model.image_shape[0]
        return blended(side, side // 4)
    sizes = list(sizes)

    def pixels(core: int) -> int:
        tiles = sum(math.ceil(height / core) * math.ceil(width / core) for height, width in sizes)
        return tiles * (core + 2 * reach) ** 2

    return exact(min(CORES, key=pixels), reach)


def as_planes(picture: Picture, channels: int) -> Planes:
    """`picture` as what a network of `channels` takes: grey three times over, or a coloured one's channels apart."""
    if channels == 1:
        return np.ascontiguousarray(picture.transpose(2, 0, 1)[..., None])
    return np.broadcast_to(picture, (*picture.shape[:2], channels))[None]


def from_planes(planes: Planes, channels: int) -> Picture:
    """The inverse of `as_planes` for a picture of `channels`: a grey one is the mean of what a colour network made."""
    if planes.shape[-1] == 1:
        return planes[..., 0].transpose(1, 2, 0)
    return planes[0] if channels > 1 else planes[0].mean(axis=-1, keepdims=True)


class _Job:
    """A picture on its way: its continued planes, and the weighted sum of the results so far."""

    def __init__(self, tag: Any, picture: Picture, tiling: Tiling, channels: int):
        self.tag, self.shape, self.tiling = tag, picture.shape, tiling
        margins = [(tiling.margin, max(tiling.margin, tiling.size - tiling.margin - n)) for n in picture.shape[:2]]
        self.planes = np.pad(as_planes(picture, channels), [(0, 0), *margins, (0, 0)], mode="reflect")
        self.sums = np.zeros_like(self.planes)
        self.rows, self.columns = (tiling.starts(length) for length in self.planes.shape[1:3])
        self.left = len(self.planes) * len(self.rows) * len(self.columns)

    def places(self) -> Iterator[tuple["_Job", tuple[int, slice, slice]]]:
        """Each tile: this picture, and where in its planes the tile lies."""
        size = self.tiling.size
        for plane in range(len(self.planes)):
            for y in self.rows:
                for x in self.columns:
                    yield self, (plane, slice(y, y + size), slice(x, x + size))

    def add(self, place: tuple[int, slice, slice], weighted: Picture) -> None:
        self.sums[place] += weighted
        self.left -= 1

    def result(self) -> Picture:
        for axis, starts in ((1, self.rows), (2, self.columns)):
            norm = np.zeros(self.sums.shape[axis], np.float32)
            for start in starts:
                norm[start : start + self.tiling.size] += self.tiling.weights
            norm[norm == 0] = 1  # the margin, which is cut off
            self.sums /= norm[:, None, None] if axis == 1 else norm[:, None]
        top = self.tiling.margin
        height, width, channels = self.shape
        return from_planes(self.sums[:, top : top + height, top : top + width], channels)


def restore_pictures(
    apply: Callable[[np.ndarray], Any], tiling: Tiling, channels: int, pictures: Iterable[tuple[Any, Picture]]
) -> Iterator[tuple[Any, Picture]]:
    """Each of `pictures`, a tag and values in [0, 1], restored, under its tag and in the same order.

    apply: the network on [batch, size, size, channels], float32 NumPy in, anything NumPy reads out; it may return
        before it has finished: the next batch is cut meanwhile.
    """
    jobs: deque[_Job] = deque()
    running: deque[tuple[tuple, Any]] = deque()
    weights = (tiling.weights[:, None] * tiling.weights)[..., None]

    def places() -> Iterator[tuple[_Job, tuple[int, slice, slice]]]:
        for tag, picture in pictures:
            jobs.append(_Job(tag, picture, tiling, channels))
            yield from jobs[-1].places()

    def collect() -> Iterator[tuple[Any, Picture]]:
        batch, output = running.popleft()
        weighted = np.asarray(output)[: len(batch)] * weights
        for (job, place), tile in zip(batch, weighted, strict=True):
            job.add(place, tile)
        while jobs and not jobs[0].left:
            job = jobs.popleft()
            yield job.tag, job.result()

    stream = places()
    while batch := tuple(islice(stream, tiling.batch)):
        tiles = np.zeros((tiling.batch, tiling.size, tiling.size, channels), np.float32)
        for number, (job, place) in enumerate(batch):
            tiles[number] = job.planes[place]
        running.append((batch, apply(tiles)))
        if len(running) > 1:
            yield from collect()
    while running:
        yield from collect()
