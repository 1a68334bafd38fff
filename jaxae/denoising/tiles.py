"""Pictures of any size through a network of one compiled shape: cut into overlapping tiles, restored, put together.

Tiles of all pictures share the batches. There are two ways to cut:

- `exact`: if an output pixel depends on few pixels around it. The outer pixels of a tile, as far as that reach, are
  input only, and the result is the network's output for the whole picture with reflection padding.
- `blended`: if the code depends on the whole image. Such a network is wrong on larger pictures, since its decoder adds
  up more terms than in training. It gets windows of the size it was trained on, and their overlapping results are
  averaged with weights that are highest in the middle of a window.
"""

import functools
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from jaxae import ops
from jaxae.networks import Network
from jaxae.runs.scores import restore_images
from jaxae.runs.trained import TrainedRun

CORES = 32, 64, 128  # sides of the part that an exact tile contributes
BATCH_PIXELS = 150_000  # of a batch of tiles

Picture = Float32[np.ndarray, "height width channels"]
Planes = Float32[np.ndarray, "planes height width network_channels"]
Place = tuple[int, slice, slice]  # of a tile: the plane, the rows and the columns


class Tiling(NamedTuple):
    """Square tiles, the last of each row and column flush with the end of the picture.

    Attributes:
        size: pixels a side.
        step: pixels from one tile to the next.
        padding: pixels of reflection padding that the picture gets on every side.
        weights: the weight of each row and of each column of a tile in the result.
        multiple: the sides of the padded picture and the places of tiles are multiples of it.
    """

    size: int
    step: int
    padding: int
    weights: Float32[np.ndarray, " size"]
    multiple: int = 1

    @property
    def batch(self) -> int:
        """The number of tiles in a batch."""
        return max(1, BATCH_PIXELS // self.size**2)

    def starts(self, length: int) -> list[int]:
        """Return where the tiles begin along an axis of `length` pixels, at least `size`, padding included."""
        last = length - self.size
        return [*range(0, last, self.step), last]


def exact(core: int, reach: int, multiple: int = 1) -> Tiling:
    """Return tiles that contribute `core` × `core` pixels and see `reach` more on every side.

    All places are multiples of `multiple`, to which both are rounded: tiles begin where the strides of the network do.
    """
    core, reach = core - core % multiple, reach + -reach % multiple
    return Tiling(core + 2 * reach, core, reach, np.pad(np.ones(core, np.float32), reach), multiple)


def blended(size: int, step: int) -> Tiling:
    """Return windows weighted with a squared sine; a picture of `size` × `size` pixels is one window."""
    return Tiling(size, step, 0, np.sin(np.pi * (np.arange(size, dtype=np.float32) + 0.5) / size) ** 2)


def choose_tiling(network: type[Network], sizes: Iterable[tuple[int, int]]) -> Tiling:
    """Return the tiling for pictures of `sizes` [height, width] that takes the least to compute."""
    reach, sizes = network.reach, list(sizes)
    if reach is None:
        side = network.image_shape[0]
        return blended(side, side // 4)

    def pixels(core: int) -> int:
        tiles = sum(math.ceil(height / core) * math.ceil(width / core) for height, width in sizes)
        return tiles * (core + 2 * reach) ** 2

    return exact(min(CORES, key=pixels), reach, network.size_multiple)


def as_planes(picture: Picture, channels: int) -> Planes:
    """Return inputs for a network of `channels`: a grey picture repeated, or the channels of a coloured one apart."""
    if channels == 1:
        return np.ascontiguousarray(picture.transpose(2, 0, 1)[..., None])
    return np.broadcast_to(picture, (*picture.shape[:2], channels))[None]


def from_planes(planes: Planes, channels: int) -> Picture:
    """Invert `as_planes` for a picture of `channels`; a grey one is the mean over the network's channels."""
    if planes.shape[-1] == 1:
        return planes[..., 0].transpose(1, 2, 0)
    return planes[0] if channels > 1 else planes[0].mean(axis=-1, keepdims=True)


class _Job:
    """A picture under way: its padded planes, and the weighted sum of the results so far."""

    def __init__(self, tag: Any, picture: Picture, tiling: Tiling, channels: int):
        self.tag, self.shape, self.tiling = tag, picture.shape, tiling
        pad = tiling.padding
        ends = [pad + -length % tiling.multiple for length in picture.shape[:2]]
        padding = [(pad, max(end, tiling.size - pad - x)) for end, x in zip(ends, picture.shape[:2], strict=True)]
        self.planes = np.pad(as_planes(picture, channels), [(0, 0), *padding, (0, 0)], mode="reflect")
        self.sums = np.zeros_like(self.planes)
        self.rows, self.columns = (tiling.starts(length) for length in self.planes.shape[1:3])
        self.left = len(self.planes) * len(self.rows) * len(self.columns)

    def places(self) -> Iterator[tuple["_Job", Place]]:
        size = self.tiling.size
        for plane, y, x in product(range(len(self.planes)), self.rows, self.columns):
            yield self, (plane, slice(y, y + size), slice(x, x + size))

    def result(self) -> Picture:
        self.sums /= self._total_weights(self.rows, self.sums.shape[1])[:, None, None]
        self.sums /= self._total_weights(self.columns, self.sums.shape[2])[:, None]
        pad, (height, width, channels) = self.tiling.padding, self.shape
        return from_planes(self.sums[:, pad : pad + height, pad : pad + width], channels)

    def _total_weights(self, starts: list[int], length: int) -> Float32[np.ndarray, " length"]:
        total = np.zeros(length, np.float32)
        for start in starts:
            total[start : start + self.tiling.size] += self.tiling.weights
        return np.where(total == 0, np.float32(1), total)  # 0 in the padding, which is cropped


def compile_network(run: TrainedRun, tiling: Tiling) -> Callable[[np.ndarray], Any]:
    """Return the run's network for batches of tiles; it is compiled once for the same run and size."""
    return functools.partial(_compile(run, tiling.size, tiling.batch, tiling.padding > 0), run.params)


@functools.lru_cache(maxsize=8)
def _compile(run: TrainedRun, size: int, batch: int, is_padded: bool) -> Callable[..., Any]:
    network = run.network.clone(reflect_padding=0) if is_padded else run.network  # the whole picture is padded
    images = jax.ShapeDtypeStruct((batch, size, size, network.image_shape[2]), jnp.float32)
    return ops.jit(restore_images, network.backend, static_argnums=0).lower(network, run.params, images).compile()


def restore_pictures(
    apply: Callable[[np.ndarray], Any], tiling: Tiling, channels: int, pictures: Iterable[tuple[Any, Picture]]
) -> Iterator[tuple[Any, Picture]]:
    """Restore pictures, in order.

    Args:
        apply: the network, from float32 NumPy arrays [batch, size, size, channels] to arrays that NumPy reads. It may
            return before it has finished: the next batch is cut meanwhile.
        tiling: how pictures are cut.
        channels: of the network.
        pictures: a tag and the values in [0, 1] of each picture.

    Yields:
        The tag and the restored values of each picture.
    """
    jobs: deque[_Job] = deque()
    running: deque[tuple[tuple[tuple[_Job, Place], ...], Any]] = deque()
    weights = (tiling.weights[:, None] * tiling.weights)[..., None]

    def places() -> Iterator[tuple[_Job, Place]]:
        for tag, picture in pictures:
            jobs.append(_Job(tag, picture, tiling, channels))
            yield from jobs[-1].places()

    stream = places()
    while (batch := tuple(islice(stream, tiling.batch))) or running:
        if batch:
            tiles = np.zeros((tiling.batch, tiling.size, tiling.size, channels), np.float32)
            for number, (job, place) in enumerate(batch):
                tiles[number] = job.planes[place]
            running.append((batch, apply(tiles)))
            if len(running) == 1:
                continue
        finished, output = running.popleft()
        for (job, place), tile in zip(finished, np.asarray(output)[: len(finished)] * weights, strict=True):
            job.sums[place] += tile
            job.left -= 1
        while jobs and not jobs[0].left:
            job = jobs.popleft()
            yield job.tag, job.result()
