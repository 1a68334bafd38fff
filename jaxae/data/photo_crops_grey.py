"""`photo_crops_grey`: the images of `photo_crops` in grey, 64×64×1."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from jaxae.data import photo_crops
from jaxae.data.photo_crops import CLASSES, SIZES, VERSION

__all__ = ["CLASSES", "SHAPE", "SIZES", "VERSION", "description", "generate"]

SHAPE = (64, 64, 1)
WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue: ITU-R BT.601


def description() -> str:
    """What the images are made from, as the data set records it."""
    return f"{photo_crops.description()} In grey."


def generate(split: str, size: int) -> Iterator[tuple[UInt8[np.ndarray, "n 64 64 1"], None]]:
    """Make the first images of a split in chunks, see `photo_crops.generate`."""
    for crops, _ in photo_crops.generate(split, size):
        yield np.rint(crops @ WEIGHTS).astype(np.uint8)[..., None], None
