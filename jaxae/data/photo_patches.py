"""`photo_patches`: colour images, 32×32×3, parts of the photographs that come with scikit-image, in drawn colours.

A dozen photographs have all the edges and textures that a small network learns from, but few colors, and a network
trained on these alone shifts the others. So each patch is turned and mirrored, its channels are exchanged, its contrast
is changed, and its mean color is replaced by a random one. Patches also come from reduced photographs, as CIFAR-10's
images do, which have detail of the size of a pixel.

The images of "test" are from other photographs than those of "train". The same versions of NumPy and scikit-image make
the same pixels in every process; other versions may make others, which is why `description` records them.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import numpy as np
from jaxtyping import Float32, UInt8

from jaxae.errors import UserError

VERSION = "1.0.0"
SHAPE = (32, 32, 3)
CLASSES = None
SIZES = {"train": 50_000, "test": 10_000}
PHOTOGRAPHS = {  # functions of skimage.data; three are of grey textures, which have most detail
    "train": (
        *("rocket", "hubble_deep_field", "immunohistochemistry", "retina", "stereo_motorcycle"),
        *("brick", "grass", "gravel"),
    ),
    "test": ("astronaut", "chelsea", "coffee"),
}
SEED = 32
CHUNK = 250  # images made at a time, each chunk from a random generator of its own
REDUCTIONS = 1, 2, 4  # in size, along either axis
CONTRAST = 0.7, 1.3
WARMTH, GREENNESS = np.array([[1.0, 0.1, -1.0], [-0.8, 1.0, -0.8]], np.float32)  # directions of red, green, blue


def description() -> str:
    """What the images are made from, as the data set records it."""
    names, versions = ", ".join(sum(PHOTOGRAPHS.values(), ())), f"scikit-image {version('scikit-image')}"
    return f"Patches of scikit-image's photographs {names} in drawn colours ({versions}, numpy {np.__version__})."


def generate(split: str, size: int) -> Iterator[tuple[UInt8[np.ndarray, "n 32 32 3"], None]]:
    """Make the first images of a split in chunks.

    Args:
        split: "train" or "test".
        size: The number of images, a multiple of `CHUNK`.

    Raises:
        UserError: scikit-image was installed without its photographs, and they cannot be downloaded.
    """
    photographs = [load_reduced(name) for name in PHOTOGRAPHS[split]]
    stream = list(SIZES).index(split)
    with ThreadPoolExecutor() as pool:
        chunks = pool.map(lambda chunk: _patches([SEED, stream, chunk], photographs), range(size // CHUNK))
        yield from ((images, None) for images in chunks)


def load_reduced(name: str) -> list[Float32[np.ndarray, "height width 3"]]:
    """The photograph in each of its sizes, values in [0, 1]."""
    from skimage import data, transform

    try:
        found = getattr(data, name)()
    except (OSError, ValueError, ModuleNotFoundError) as error:
        lack = f"scikit-image's picture {name} cannot be had: {error}"
        raise UserError(f"{lack}; install scikit-image from PyPI, whose files hold it") from error
    image = found[0] if isinstance(found, tuple) else found  # of a stereo pair, the left one
    colours = np.broadcast_to(image if image.ndim == 3 else image[..., None], (*image.shape[:2], 3))
    values = colours.astype(np.float32) / 255
    whole = [values[: len(values) // by * by, : values.shape[1] // by * by] for by in REDUCTIONS]  # it pads with black
    return [transform.downscale_local_mean(image, (by, by, 1)) for image, by in zip(whole, REDUCTIONS, strict=True)]


def _patches(seed: list[int], photographs: list[list[np.ndarray]]) -> UInt8[np.ndarray, "n 32 32 3"]:
    random = np.random.default_rng(seed)
    patches = np.stack([cut_patch(random, photographs, 32) for _ in range(CHUNK)])
    about_mean = patches - patches.mean((1, 2), keepdims=True)
    contrast = random.uniform(*CONTRAST, (CHUNK, 1, 1, 1)).astype(np.float32)
    images = _colours(random)[:, None, None] + contrast * about_mean
    return np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)


def cut_patch(
    random: np.random.Generator, photographs: list[list[np.ndarray]], side: int
) -> Float32[np.ndarray, "side side 3"]:
    """A random part of a random size of a random photograph, turned and mirrored, its channels exchanged.

    Args:
        random: Draws it.
        photographs: What `load_reduced` returns for each.
        side: The height and the width.
    """
    sizes = photographs[random.integers(len(photographs))]
    image = sizes[random.integers(len(sizes))]
    row, column = (random.integers(length - side + 1) for length in image.shape[:2])
    patch = np.rot90(image[row : row + side, column : column + side], int(random.integers(4)))
    return patch[:, :: random.choice([-1, 1]), random.permutation(3)]


def _colours(random: np.random.Generator) -> Float32[np.ndarray, "n 3"]:
    """As in photographs, lightness varies most, yellow against blue less, and green against magenta least."""

    def normal(deviation: float) -> np.ndarray:
        return random.normal(0, deviation, (CHUNK, 1)).astype(np.float32)

    lightness = random.beta(1.6, 1.7, (CHUNK, 1)).astype(np.float32)
    vivid = np.exp(normal(0.8))  # most things are dull and a few saturated, whose colours a network has to keep too
    return lightness + vivid * (normal(0.1) * WARMTH + normal(0.035) * GREENNESS)
