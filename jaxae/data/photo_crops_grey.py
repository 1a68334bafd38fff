"""`photo_crops_grey`: grey images, 64×64×1, from the parts of photographs of `photo_crops`.

Colour photographs show a network many contrasts at once, and grey ones few: a network that is trained on their
luminance alone fails where dark and light meet harder than there. So channels are mixed at random, the contrast is
reduced, raised or inverted, and the mean is drawn anew.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8

from jaxae.data import photo_crops
from jaxae.data.photo_crops import CLASSES, SIZES

__all__ = ["CLASSES", "SHAPE", "SIZES", "VERSION", "description", "generate"]

VERSION = "1.0.0"
SHAPE = (64, 64, 1)
CONTRAST = 0.5, 2.5
MEAN = 0.1, 0.9


def description() -> str:
    """What the images are made from, as the data set records it."""
    return f"{photo_crops.description()} In grey, with drawn contrasts."


def generate(split: str, size: int) -> Iterator[tuple[UInt8[np.ndarray, "n 64 64 1"], None]]:
    """Make the first images of a split in chunks, see `photo_crops.generate`."""
    random = np.random.default_rng([photo_crops.SEED, list(SIZES).index(split), 1])
    for crops, _ in photo_crops.generate(split, size):
        weights = random.dirichlet(np.ones(3), (len(crops), 1, 1))
        grey = np.sum(weights * crops, -1) / 255
        means, contrast, sign = (
            random.uniform(*MEAN, (len(crops), 1, 1)),
            random.uniform(*CONTRAST, (len(crops), 1, 1)),
            random.choice([-1, 1], (len(crops), 1, 1)),
        )
        drawn = means + sign * contrast * (grey - grey.mean((1, 2), keepdims=True))
        yield np.rint(255 * np.clip(drawn, 0, 1)).astype(np.uint8)[..., None], None
