"""Images as they are stored on a device."""

import dataclasses
from typing import Any

import jax

from jaxae.data.images import Images


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ImageRows:
    """Images with the bytes of each in a row, to gather batches from; a pytree.

    A TPU gathers from rows as they are. Arrays [n, height, width, channels] it stores with the images in the lanes, and
    each program that gathers from them first makes a copy, in which the width fills 128 lanes.

    Attributes:
        rows: each array is uint8 [n, height * width * channels].
        image_shape: [height, width, channels].
    """

    rows: Images
    image_shape: tuple[int, ...] = dataclasses.field(metadata={"static": True})

    @classmethod
    def of(cls, images: Images) -> "ImageRows":
        """Flatten `images`, arrays of NumPy or JAX."""
        return cls(jax.tree.map(lambda x: x.reshape(len(x), -1), images), images.shape[1:])

    @property
    def count(self) -> int:
        """The number of images."""
        return self.rows.count

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the images as an array."""
        return (self.count, *self.image_shape)

    def take(self, indices: Any) -> Images:
        """Return the images at `indices`, [..., height, width, channels]."""
        return jax.tree.map(lambda x: x.reshape(*x.shape[:-1], *self.image_shape), self.rows.take(indices))
