"""`photo_crops`: colour images, 64×64×3, parts of the photographs that come with scikit-image.

For a network that sees more of a picture than `photo_patches` shows. Parts come from whole and reduced photographs,
turned and mirrored, with their channels exchanged. The images of "test" are from other photographs than those of
"train". The same versions of NumPy and scikit-image make the same pixels.
"""

from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
from jaxtyping import UInt8

from jaxae.data.photo_patches import cut_patch, load_reduced

VERSION = "1.0.0"
SHAPE = (64, 64, 3)
CLASSES = None
SIZES = {"train": 16_000, "test": 1_000}
PHOTOGRAPHS = {  # functions of skimage.data
    "train": (
        *("rocket", "hubble_deep_field", "immunohistochemistry", "retina", "stereo_motorcycle"),
        *("brick", "grass", "gravel", "camera", "coins", "moon"),
    ),
    "test": ("astronaut", "chelsea", "coffee"),
}
SEED = 64
CHUNK = 200


def description() -> str:
    """What the images are made from, as the data set records it."""
    names, versions = ", ".join(sum(PHOTOGRAPHS.values(), ())), f"scikit-image {version('scikit-image')}"
    return f"Parts of scikit-image's photographs {names} ({versions}, numpy {np.__version__})."


def generate(split: str, size: int) -> Iterator[tuple[UInt8[np.ndarray, "n 64 64 3"], None]]:
    """Make the first images of a split in chunks.

    Args:
        split: "train" or "test".
        size: The number of images, a multiple of `CHUNK`.

    Raises:
        UserError: scikit-image was installed without its photographs, and they cannot be downloaded.
    """
    sizes = [load_reduced(name) for name in PHOTOGRAPHS[split]]
    photographs = [[image for image in own if min(image.shape[:2]) > SHAPE[0]] for own in sizes]
    random = np.random.default_rng([SEED, list(SIZES).index(split)])
    for _ in range(size // CHUNK):
        crops = np.stack([cut_patch(random, photographs, SHAPE[0]) for _ in range(CHUNK)])
        yield np.rint(255 * crops).astype(np.uint8), None
