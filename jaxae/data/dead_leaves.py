"""`dead_leaves`: colour images, 32×32×3, from the dead-leaves model of natural images.

Opaque shapes ("leaves") fall on one another until they cover the image. With sizes from a power law with exponent -3,
the images share statistics of photographs: scaling of the power spectrum, kurtotic derivatives, edges by occlusion.

- G. Matheron, "Modèle séquentiel de partition aléatoire", 1968: the model.
- D. L. Ruderman, "Origins of scaling in natural images", Vision Research 37, 1997: why occlusion and power-law sizes.
- A. B. Lee, D. Mumford and J. Huang, "Occlusion models for natural images: a statistical study of a scale-invariant
  dead leaves model", International Journal of Computer Vision 41, 2001: the exponent.

The leaves here are discs, ellipses and convex polygons, each with a colour and a shading, some with a texture. Images
are cut from large canvases, drawn at three times their size and reduced, which antialiases them; neighbours on a
canvas may show parts of the same leaf, as patches of one photograph do.

The same versions of NumPy and OpenCV draw the same pixels in every process; other versions may draw others, which is
why `description` records them.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Float32, UInt8

VERSION = "2.0.0"
SHAPE = (32, 32, 3)
CLASSES = None
SIZES = {"train": 50_000, "test": 10_000}
SEED = 32
CHUNK = 250  # images cut from one canvas, which has room for 256
SIDE = 16 * 32  # pixels of a canvas before it is cut
FINE = 3  # samples per pixel along either axis while drawing
RADII = 8.0, 64.0  # pixels: the power law's limits
COVER = 3.5  # how many leaves lie over a point on average; exp(-COVER) of the canvas shows the ground
TEXTURED = 0.4  # of the leaves
COARSEST = 64 * FINE  # samples: of a texture's waves the longest that still has more amplitude than shorter ones
CORNERS = 18  # of the polygon that stands for a disc or an ellipse
WARMTH, GREENNESS = np.float32([1.0, 0.1, -1.0]), np.float32([-0.8, 1.0, -0.8])  # directions of red, green, blue
SUBSAMPLE_BITS = 4  # OpenCV draws with coordinates of this many fractional bits


def description() -> str:
    """What the images are, for the data set's record."""
    import cv2

    return (
        "Dead-leaves images (Lee, Mumford and Huang, 2001): occluding discs, ellipses and polygons, "
        f"their sizes from a power law (numpy {np.__version__}, opencv {cv2.__version__})."
    )


def generate(split: str, size: int) -> Iterator[tuple[UInt8[np.ndarray, "n 32 32 3"], None]]:
    """The first `size` images, a multiple of `CHUNK`, in chunks; "train" and "test" are cut from different canvases."""
    stream = list(SIZES).index(split)
    textures = _textures(np.random.default_rng(SEED))
    with ThreadPoolExecutor() as pool:
        canvases = pool.map(lambda chunk: _draw([SEED, stream, chunk], textures), range(size // CHUNK))
        yield from ((images, None) for images in canvases)


def _draw(seed: list[int], textures: list[np.ndarray]) -> UInt8[np.ndarray, "n 32 32 3"]:
    import cv2

    random = np.random.default_rng(seed)
    radius = _radii(random)
    count = len(radius)
    centre = random.uniform(-0.1 * SIDE, 1.1 * SIDE, (count, 2)).astype(np.float32)
    # Which leaf is on top at each sample; leaf 0 is the ground.
    top = np.zeros((SIDE * FINE, SIDE * FINE), np.uint16)
    outlines = _outlines(random, radius, centre)
    for leaf in range(1, count):
        cv2.fillConvexPoly(top, outlines[leaf], leaf, lineType=cv2.LINE_8, shift=SUBSAMPLE_BITS)

    def normal(deviation: float, *shape: int) -> np.ndarray:
        return random.normal(0, deviation, (count, *shape)).astype(np.float32)

    # As in photographs, lightness varies most, yellow against blue less, and green against magenta least.
    lightness = random.beta(1.6, 1.7, (count, 1)).astype(np.float32)
    vivid = np.exp(normal(0.8, 1))  # most things are dull and a few saturated, whose colours a network has to keep too
    colour = lightness + vivid * (normal(0.1, 1) * WARMTH + normal(0.035, 1) * GREENNESS)
    slope = normal(0.12, 2) / radius[:, None]  # light falls off across a leaf
    textured = random.uniform(0, 1, count) < TEXTURED
    roughness = np.abs(normal(0.08)) * textured.astype(np.float32)
    kind = random.integers(0, len(textures), count).astype(np.uint8)
    offset = -(slope * centre).sum(1)
    axis = (np.arange(SIDE * FINE, dtype=np.float32) + np.float32(0.5)) / FINE
    shift = random.integers(0, SIDE * FINE, 2)
    grain = np.choose(kind[top], [np.roll(texture, shift, (0, 1)) for texture in textures])
    light = offset[top] + slope[:, 0][top] * axis + slope[:, 1][top] * axis[:, None] + roughness[top] * grain
    image = cv2.resize(colour[top] + light[..., None], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    tiles = image.reshape(SIDE // 32, 32, SIDE // 32, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)
    chosen = tiles[random.permutation(len(tiles))[:CHUNK]]
    return np.rint(np.clip(chosen, 0, 1) * 255).astype(np.uint8)


def _radii(random: np.random.Generator) -> Float32[np.ndarray, " leaves"]:
    """As many radii, with density proportional to r^-3 between the limits, as cover the canvas `COVER` times."""
    low, high = (limit**-2 for limit in RADII)
    mean_square = 2 * math.log(RADII[1] / RADII[0]) / (low - high)
    count = round(COVER * (1.2 * SIDE) ** 2 / (math.pi * 0.7 * mean_square))
    return (low - random.uniform(0, 1, count) * (low - high)).astype(np.float32) ** -0.5


def _outlines(random: np.random.Generator, radius: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Convex outlines [leaves, corners, 2] in OpenCV's fixed point: discs, ellipses, triangles to hexagons."""
    count = len(radius)
    corners = random.choice([3, 4, 4, 5, 6, CORNERS, CORNERS, CORNERS, CORNERS], count)
    # A polygon's corners are those of an inscribed one on the circle, each repeated until there are CORNERS.
    step = np.floor(np.arange(CORNERS) * corners[:, None] / CORNERS) / corners[:, None]
    jitter = np.where(corners < CORNERS, 0.25 / corners, 0)
    step += jitter[:, None] * np.sin(7 * step * 2 * np.pi + random.uniform(0, 7, (count, 1)))
    angle = 2 * np.pi * step + random.uniform(0, 2 * np.pi, (count, 1))
    stretch = np.exp(random.normal(0, 0.35, (count, 1)))
    x, y = np.cos(angle) * stretch**0.5, np.sin(angle) * stretch**-0.5
    turn = random.uniform(0, 2 * np.pi, (count, 1))
    points = np.stack([np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y], -1)
    points = centre[:, None] + radius[:, None, None] * points
    return np.rint((points * FINE - 0.5) * 2**SUBSAMPLE_BITS).astype(np.int32)


def _textures(random: np.random.Generator) -> list[Float32[np.ndarray, "side side"]]:
    """Noise with unit variance whose amplitude falls with frequency as photographs' does, two drawn out along an axis.

    D. J. Field, "Relations between the statistics of natural images and the response properties of cortical cells",
    Journal of the Optical Society of America A 4, 1987: amplitudes in proportion to 1 / frequency, or nearly so.
    """
    side, textures = SIDE * FINE, []
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    for exponent, stretch in ((1.0, 1), (1.4, 1), (1.2, 4), (1.2, 1 / 4)):
        frequency = np.maximum(np.hypot(rows * stretch**0.5, columns * stretch**-0.5), 1 / COARSEST)
        noise = np.fft.irfft2(np.fft.rfft2(random.standard_normal((side, side))) * frequency**-exponent, (side, side))
        textures.append((noise / noise.std()).astype(np.float32))
    return textures
