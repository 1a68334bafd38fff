"""Pictures of any size cut to the one that a network takes: resized, or in pieces as they are."""

import itertools
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Shaped

from jaxae.data.images import Images
from jaxae.data.pictures.files import naming, read_picture
from jaxae.data.pictures.picture import Picture, ValueRange
from jaxae.errors import UserError

LARGE = 4  # a picture this many times the wanted size along its shorter side gives several crops
CROPS = 8  # of a large picture
HIDDEN = 1 / 16  # where alpha varies by more but its picture on white by less, white hides it
PIECES = 64  # at most, of one picture
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue: ITU-R BT.601

Shape = tuple[int, int, int]  # height, width, channels
Cut = tuple[list[Images], tuple[str, ...]]  # what each page of a picture gives, and notes on the picture
Floats = Float32[np.ndarray, "rows columns channels"]


def resized(files: list[Path], seed: int, shape: Shape, value_range: ValueRange | None) -> Cut:
    """Resize the middle of each page of a picture to `shape`. A large page gives `CROPS` images, see `LARGE`."""
    height, width, channels = shape
    file, cut = read_picture(files[0], value_range, draft=2 * LARGE * max(width, height)), []
    with naming(files[0]):
        for number, page in enumerate(file.pages):
            rows, columns, _ = page.values.shape
            crops = CROPS if columns >= LARGE * width and rows >= LARGE * height else 1
            cut.append(Images(_quantized(_boxes(_flat(page, channels), seed + number, shape, crops), page)))
    return cut, file.notes


def pieces(files: list[Path], seed: int, shape: Shape, value_range: ValueRange | None) -> Cut:
    """Cut each page of a picture into pieces without resizing it, so that its noise stays as it is.

    A page gives as many pieces, from random places, as would fill it, but at most `PIECES`.

    Args:
        files: A picture, or a clean one and a noisy one of the same scene, which are cut at the same places.
        seed: Draws the places.
        shape: The shape of the pieces.
        value_range: The values of black and white. By default two pictures share what both span.

    Raises:
        UserError: A picture is smaller than `shape`, or two differ in size or in the number of pages.
    """
    read, cut = [read_picture(file, value_range) for file in files], []
    for number, pages in enumerate(itertools.zip_longest(*(file.with_ranges_of(*read).pages for file in read))):
        sizes = [f"{page.values.shape[1]}×{page.values.shape[0]}" if page else "no" for page in pages]
        if len(set(sizes)) > 1:
            raise UserError(f"{files[1]} is {sizes[1]} pixels and {files[0]} {sizes[0]}: they are no pair")
        with naming(files[-1]):
            page = Images(*(_quantized(_flat(page, shape[2]), page) for page in pages))
            cut.append(_pieces(page, seed + number, shape))
    return cut, tuple(dict.fromkeys(note for file in reversed(read) for note in file.notes))


def _boxes(image: Floats, seed: int, shape: Shape, crops: int) -> Float32[np.ndarray, "crops h w c"]:
    from PIL import Image

    (rows, columns, _), (height, width, _) = image.shape, shape
    scale = min(columns / width, rows / height)  # of the largest box with the wanted aspect
    left, top = columns - scale * width, rows - scale * height
    boxes = [(left / 2, top / 2, left / 2 + scale * width, top / 2 + scale * height)]
    random = np.random.default_rng(seed)
    for _ in range(crops - 1):
        part = scale * random.uniform(1 / LARGE, 1)
        x, y = random.uniform(0, 1, 2) * (columns - part * width, rows - part * height)
        boxes.append((x, y, x + part * width, y + part * height))
    channels = [Image.fromarray(np.ascontiguousarray(channel)) for channel in np.moveaxis(image, -1, 0)]
    options = {"size": (width, height), "resample": Image.Resampling.LANCZOS, "reducing_gap": 3}
    return np.stack([np.stack([np.asarray(x.resize(box=box, **options)) for x in channels], -1) for box in boxes])


def _pieces(page: Images, seed: int, shape: Shape) -> Images:
    """Pieces of a page, whose arrays are [rows, columns, channels], from the same places of each array."""
    (rows, columns, _), (height, width, _) = page.shape, shape
    if rows < height or columns < width:
        raise UserError(f"{columns}×{rows} pixels, smaller than the {width}×{height} that the network is trained on")
    random, count = np.random.default_rng(seed), min(PIECES, rows * columns // (height * width))
    tops, lefts = random.integers(0, rows - height + 1, count), random.integers(0, columns - width + 1, count)
    return page.take((tops[:, None, None] + np.arange(height)[:, None], lefts[:, None, None] + np.arange(width)))


def _flat(picture: Picture, channels: int) -> Floats:
    """The same picture with nothing transparent, gray or in colors: on white, or on black where white hides it."""
    values = picture.floats()
    if picture.alpha is not None:
        alpha = picture.alpha.astype(np.float32) / picture.most
        white = values * alpha[..., None] + 1 - alpha[..., None]
        is_hidden = np.ptp(white) < HIDDEN <= np.ptp(alpha)
        values = values * alpha[..., None] if is_hidden else white
    if channels == 1 and values.shape[2] == 3:
        return (values @ LUMINANCE)[..., None]
    return values if values.shape[2] == channels else np.repeat(values, channels, axis=-1)


def _quantized(values: Float32[np.ndarray, "..."], picture: Picture) -> Shaped[np.ndarray, "..."]:
    """As uint8, or as uint16 if `picture` has more than 8 bits."""
    dtype = np.uint8 if picture.values.dtype == np.uint8 else np.uint16
    return np.rint(np.clip(values, 0, 1) * np.iinfo(dtype).max).astype(dtype)
