"""Training images that stay on the host and come to the device in chunks of batches.

The order is the one in which the device itself would take them, so a run on a stream is the same run.
"""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

import jax
import numpy as np
from jax import Array
from jax.sharding import Sharding
from jaxtyping import Int, UInt8

CHUNK_BYTES = 32 * 2**20


@runtime_checkable
class Source(Protocol):
    """Images read by index: an array in memory, one mapped from a file, or `jaxae.data.records.Records`."""

    shape: tuple[int, ...]  # n, height, width, channels

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Int[np.ndarray, " k"]) -> UInt8[np.ndarray, "k h w c"]: ...


@dataclasses.dataclass(frozen=True)
class Stream:
    """`source`, to be brought to the device about `chunk_bytes` at a time; two chunks are there at once."""

    source: Source
    chunk_bytes: int = CHUNK_BYTES

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all images."""
        return self.source.shape

    def __len__(self) -> int:
        return len(self.source)

    def chunk_shape(self, steps: int, batch_size: int) -> tuple[int, ...]:
        """[steps, batch, height, width, channels] of a chunk, for an epoch of so many steps."""
        batch_bytes = batch_size * int(np.prod(self.shape[1:]))
        return (min(steps, max(1, self.chunk_bytes // batch_bytes)), batch_size, *self.shape[1:])

    def chunks(
        self, order: Int[np.ndarray, "steps batch"], steps: int, sharding: Sharding
    ) -> Iterator[tuple[UInt8[Array, "chunk batch h w c"], int]]:
        """The batches of `order`, which ends an epoch of `steps` steps, in chunks of one shape; how many are in each.

        A process reads those images alone that `sharding` places on its own devices.
        """
        shape = self.chunk_shape(steps, order.shape[1])
        for start in range(0, len(order), shape[0]):
            part = order[start : start + shape[0]]

            def read(index: tuple[slice, ...], part: np.ndarray = part) -> np.ndarray:
                mine = part[:, index[1]]
                images = np.zeros((shape[0], mine.shape[1], *shape[2:]), np.uint8)
                images[: len(mine)] = self.source[mine.ravel()].reshape(*mine.shape, *shape[2:])
                return images

            yield jax.make_array_from_callback(shape, sharding, read), len(part)


def fits_device(size: int) -> bool:
    """Whether `size` bytes of images take at most half of what each device can hold beside everything else.

    A CPU's devices share the host's free memory, of which the images on the host take their part too.
    """
    devices = jax.local_devices()
    memory = (devices[0].memory_stats() or {}).get("bytes_limit")
    return 2 * size <= (memory if memory is not None else host_memory() // (1 + len(devices)))


def fits_host(size: int) -> bool:
    """Whether `size` bytes take at most half of the host's free memory."""
    return 2 * size <= host_memory()


def host_memory() -> int:
    """Bytes that are free on the host; where only Linux says that, all that it has."""
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
