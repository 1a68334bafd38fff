"""Training images that stay on the host and are moved to the device in chunks of batches.

They come in the order in which images on the device are taken, so that both give the same run.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.sharding import Sharding
from jaxtyping import Int, UInt8

from jaxae.command import machine
from jaxae.data.images import Images

CHUNK_BYTES = 32 * 2**20


@dataclasses.dataclass(frozen=True)
class Stream:
    """Images on the host, for a device that holds two chunks of them at a time.

    Attributes:
        images: NumPy arrays, or objects read by index.
        chunk_bytes: About the size of a chunk.
    """

    images: Images
    chunk_bytes: int = CHUNK_BYTES

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all (clean) images."""
        return self.images.shape

    def __len__(self) -> int:
        return self.images.count

    def chunk_shape(self, steps: int, batch_size: int) -> tuple[int, ...]:
        """The shape [steps, batch, height, width, channels] of each array of a chunk, for epochs of `steps` steps."""
        batch_bytes = batch_size * self.images.nbytes // len(self)
        return (min(steps, max(1, self.chunk_bytes // batch_bytes)), batch_size, *self.shape[1:])

    def chunks(
        self, order: Int[np.ndarray, "steps batch"], steps: int, sharding: Sharding
    ) -> Iterator[tuple[Images, int]]:
        """The batches of an epoch, in chunks of one shape, and the number of batches in each.

        Each process reads only the images that `sharding` places on its own devices.

        Args:
            order: The images of each batch: the last rows of an epoch.
            steps: The number of steps of a whole epoch.
            sharding: Where a chunk is placed.
        """
        shape = self.chunk_shape(steps, order.shape[1])
        for start in range(0, len(order), shape[0]):
            part = order[start : start + shape[0]]
            yield jax.tree.map(lambda array, part=part: _put(array, part, shape, sharding), self.images), len(part)


def _put(
    source: Any, part: Int[np.ndarray, "k batch"], shape: tuple[int, ...], sharding: Sharding
) -> UInt8[Array, "steps batch h w c"]:
    """The batches `part` of `source`, with zeros up to `shape`, on the devices of `sharding`."""

    def read(index: Any) -> np.ndarray:
        mine = part[:, index[1]]
        images = np.zeros((shape[0], mine.shape[1], *shape[2:]), np.uint8)
        images[: len(mine)] = source[mine.ravel()].reshape(*mine.shape, *shape[2:])
        return images

    return jax.make_array_from_callback(shape, sharding, read)


def fits_device(size: int) -> bool:
    """Whether `size` bytes of images take at most half of the memory of each device.

    The devices of a CPU share the host's free memory with the images on the host.
    """
    devices = jax.local_devices()
    memory = (devices[0].memory_stats() or {}).get("bytes_limit")
    return 2 * size <= (memory if memory is not None else machine.free_memory() // (1 + len(devices)))


def fits_host(size: int) -> bool:
    """Whether `size` bytes take at most half of the host's free memory."""
    return 2 * size <= machine.free_memory()
