"""`digits`: handwriting-like digits, 28×28×1, drawn from the outline fonts that matplotlib ships.

Each glyph is thinned to its skeleton. A pen of random width follows that skeleton after a random affine map and a
smooth random displacement (elastic deformation as in Simard, Steinkraus and Platt, "Best practices for convolutional
neural networks", ICDAR 2003). As in MNIST, the digit fits a 20×20 box and its center of mass is the image's center.

The same versions of matplotlib (fonts), Pillow, scikit-image and NumPy draw the same pixels in every process; other
versions may draw others, which is why `description` records them.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

VERSION = "2.0.0"
SHAPE = (28, 28, 1)
CLASSES = 10
SIZES = {"train": 60_000, "test": 10_000}
FONTS = (
    *("DejaVuSans", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSerif-Italic"),
    *("STIXGeneral", "STIXGeneralItalic"),
    *("cmr10", "cmss10", "cmti10", "cmtt10", "cmmi10"),
)
PLAIN_ONES = ("DejaVuSans", "DejaVuSans-Oblique", "cmss10")
SEED = 28
CHUNK = 250  # images drawn at a time, each chunk from a random generator of its own
FIELD = 128  # side of a glyph's distance field; its 20×20 box takes 80 of them
BOX = 20.0  # side of the box that the digit fits, in pixels of the image
FINE = 4.0  # samples of the distance field per pixel of the image
_AXIS = np.arange(28, dtype=np.float32) - np.float32(13.5)


def description() -> str:
    """What the images are made from, as the data set records it."""
    packages = ("matplotlib", "pillow", "scikit-image", "numpy")
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return f"Handwriting-like digits drawn from the outline fonts {', '.join(FONTS)} ({versions})."


def generate(split: str, size: int) -> Iterator[tuple[UInt8[np.ndarray, "n 28 28 1"], Int64[np.ndarray, " n"]]]:
    """Draw the first images of a split and their labels (0 to 9) in chunks. The splits are independent draws.

    Args:
        split: "train" or "test".
        size: The number of images, a multiple of `CHUNK`.
    """
    fields = _distance_fields()
    stream = list(SIZES).index(split)
    with ThreadPoolExecutor() as pool:
        yield from pool.map(lambda chunk: _draw(fields, [SEED, stream, chunk]), range(size // CHUNK))


def _draw(fields: np.ndarray, seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES, CHUNK)
    glyphs = random.integers(0, len(FONTS), CHUNK) * CLASSES + labels

    def normal(mean: float, deviation: float, *shape: int) -> np.ndarray:
        return random.normal(mean, deviation, (CHUNK, *shape)).astype(np.float32)

    # From the image to the upright glyph: stretch, slant and turn, undone.
    angle, slant, stretch = normal(0.0, 0.13), normal(0.08, 0.2), np.exp(normal(0.12, 0.16))
    cos, sin, one, zero = np.cos(angle), np.sin(angle), np.ones_like(angle), np.zeros_like(angle)
    turn = np.stack([cos, -sin, sin, cos], -1).reshape(-1, 2, 2)
    lean = np.stack([one, slant, zero, one], -1).reshape(-1, 2, 2)
    narrow = np.stack([1 / stretch, zero, zero, one], -1).reshape(-1, 2, 2)
    inverse = narrow @ lean @ turn
    shift_y, shift_x, pressure = (_smooth(normal(0.0, deviation, 5, 5)) for deviation in (2.0, 2.0, 0.3))
    width = np.clip(normal(2.35, 0.5), 1.5, 4.2)
    soft = np.clip(normal(1.3, 0.2), 0.9, 1.8)

    def render(scale: np.ndarray, centre_y: np.ndarray, centre_x: np.ndarray) -> np.ndarray:
        y = (_AXIS[:, None] + shift_y) / scale[:, None, None] + centre_y[:, None, None]
        x = (_AXIS[None, :] + shift_x) / scale[:, None, None] + centre_x[:, None, None]
        m = inverse[:, :, :, None, None]
        distance = _sample(fields, glyphs, m[:, 1, 0] * x + m[:, 1, 1] * y, m[:, 0, 0] * x + m[:, 0, 1] * y)
        # Lengths in the glyph to lengths in the image, by the map's mean scale.
        distance *= (scale * np.sqrt(stretch))[:, None, None]
        ink = (width[:, None, None] / 2 + pressure - distance) / soft[:, None, None] + 0.5
        return np.clip(ink, 0, 1)

    start = np.full(CHUNK, 0.8, np.float32)
    first = render(start, zero, zero)
    # Fit the box, keeping the aspect, and move the centre of mass to the middle, as MNIST's makers did.
    extent = np.maximum(_extent(first.max(1)), _extent(first.max(2)))
    mass = np.maximum(first.sum((1, 2)), 1)
    centre_y = (first.sum(2) * _AXIS).sum(1) / mass / start
    centre_x = (first.sum(1) * _AXIS).sum(1) / mass / start
    images = render(start * BOX / extent, centre_y, centre_x)
    return np.rint(images * 255).astype(np.uint8)[..., None], labels


def _extent(profile: Float32[np.ndarray, "n 28"]) -> Float32[np.ndarray, " n"]:
    """From the first to the last entry above one half."""
    inked = profile > 0.5
    last = profile.shape[1] - np.argmax(inked[:, ::-1], axis=1)
    return np.maximum(last - np.argmax(inked, axis=1), 1).astype(np.float32)


def _smooth(knots: Float32[np.ndarray, "n k k"]) -> Float32[np.ndarray, "n 28 28"]:
    """A smooth field over the image through a coarse grid of knots: Gaussian bumps that sum to one."""
    centres = np.linspace(-14, 14, knots.shape[1], dtype=np.float32)
    bumps = np.exp(-0.5 * ((_AXIS[:, None] - centres) / 4.5) ** 2)
    bumps /= bumps.sum(1, keepdims=True)
    return bumps @ knots @ bumps.T


def _sample(fields: np.ndarray, glyphs: np.ndarray, y: np.ndarray, x: np.ndarray) -> Float32[np.ndarray, "n 28 28"]:
    """The distance fields of `glyphs` at (y, x), in pixels from the middle; bilinear."""
    y = np.clip(y * FINE + FIELD / 2 - 0.5, 0, FIELD - 1.001)
    x = np.clip(x * FINE + FIELD / 2 - 0.5, 0, FIELD - 1.001)
    row, column = y.astype(np.int32), x.astype(np.int32)
    y -= row
    x -= column
    corner = (glyphs.astype(np.int32)[:, None, None] * FIELD + row) * FIELD + column
    flat = fields.reshape(-1)
    above = flat[corner] * (1 - x) + flat[corner + 1] * x
    below = flat[corner + FIELD] * (1 - x) + flat[corner + FIELD + 1] * x
    return above * (1 - y) + below * y


def _distance_fields() -> Float32[np.ndarray, "fonts_times_digits side side"]:
    """For each font and digit, the distance to the glyph's skeleton, in pixels of the image."""
    from scipy.ndimage import distance_transform_edt
    from skimage.morphology import skeletonize  # Zhang and Suen, 1984

    skeletons = [skeletonize(_glyph(font, digit)) for font in FONTS for digit in range(CLASSES)]
    return np.stack([np.asarray(distance_transform_edt(~skeleton)) for skeleton in skeletons]).astype(np.float32) / FINE


def _glyph(font: str, digit: int) -> Bool[np.ndarray, "side side"]:
    """A glyph, its longer side as long as the box, in the middle of its field."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    # Many people write the one as a plain stroke, which in a sans-serif font is the letter l.
    character = "l" if digit == 1 and font in PLAIN_ONES else str(digit)
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
    face = ImageFont.truetype(str(path), 4 * FIELD)
    large = Image.new("L", (8 * FIELD, 8 * FIELD))
    ImageDraw.Draw(large).text((2 * FIELD, 2 * FIELD), character, font=face, fill=255)
    glyph = large.crop(large.getbbox())
    scale = BOX * FINE / max(glyph.size)
    size = [max(1, round(side * scale)) for side in glyph.size]
    field = Image.new("L", (FIELD, FIELD))
    left, top = ((FIELD - side) // 2 for side in size)
    field.paste(glyph.resize(size, Image.Resampling.BOX), (left, top))
    return np.asarray(field) > 127
