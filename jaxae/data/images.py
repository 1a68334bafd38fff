"""Images as every part of jaxae takes them: clean ones, or pairs of noisy and clean ones."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from jaxae.errors import UserError


class Images(NamedTuple):
    """A batch of images, or of pairs of images. It is a pytree.

    Each field is an array [n, height, width, channels], uint8 or, of pictures with more than 8 bits, uint16, from NumPy
    or JAX; or an object with `shape` that gives uint8 where it is indexed by an array of numbers, such as
    `jaxae.data.prepared.StoredSplit`. White is the type's highest value. Both have one shape and type.

    Attributes:
        clean: What a network should give.
        noisy: What it is given instead of `clean`, where pairs were recorded.
    """

    clean: Any
    noisy: Any = None

    @property
    def input(self) -> Any:
        """The noisy images of pairs, else the clean ones."""
        return self.clean if self.noisy is None else self.noisy

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `clean`."""
        return tuple(self.clean.shape)

    @property
    def count(self) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The number of images (`len` gives the number of fields)."""
        return self.clean.shape[0]

    @property
    def nbytes(self) -> int:
        """The size of all arrays in memory."""
        arrays = [array for array in self if array is not None]
        return sum(int(np.prod(array.shape)) * getattr(array, "dtype", np.dtype(np.uint8)).itemsize for array in arrays)

    def take(self, indices: Any) -> "Images":
        """The images at `indices`: whatever indexes every array, such as an index array, a slice or a traced index."""
        return Images(*(None if array is None else array[indices] for array in self))

    def select(self, indices: Int[np.ndarray, " k"]) -> "Images":
        """The images at `indices`; those that are read by index stay unread."""
        arrays = [array for array in self if array is not None]
        return Images(*(x[indices] if isinstance(x, np.ndarray) else Subset(x, indices) for x in arrays))

    def load(self) -> "Images":
        """The images as NumPy arrays."""
        return self.take(np.arange(self.count))


def check_images(images: Images, name: str) -> Images:
    """Return `images`, which are from the data set `name`, whatever source it has.

    Raises:
        UserError: There are none, or their dtype or shape is not as in `Images`.
    """
    for array in (images.clean, *([] if images.noisy is None else [images.noisy])):
        shape, dtype = tuple(array.shape), getattr(array, "dtype", np.uint8)  # what is read by index is uint8
        if dtype not in (np.uint8, np.uint16) or len(shape) != 4 or 0 in shape or shape != images.shape:
            text = "×".join(map(str, shape))
            raise UserError(
                f"{name} gives images of {dtype} and shape {text}: they must be uint8 or uint16 [n, height, width, "
                "channels], at least one, and the noisy ones of a pair like the clean ones"
            )
    return images


class Subset:
    """A part of images that are read by index."""

    def __init__(self, source: Any, indices: Int[np.ndarray, " k"]):
        """Take the images of `source` with the numbers `indices`."""
        self._source, self._indices = source, indices
        self.shape = (len(indices), *source.shape[1:])

    def __getitem__(self, indices: Any) -> UInt8[np.ndarray, "k h w c"]:
        return self._source[self._indices[indices]]
