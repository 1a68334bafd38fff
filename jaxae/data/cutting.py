"""Pictures of any size cut to the one that a network takes: resized, or in pieces as they are."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from jaxae.data.images import Images
from jaxae.data.pictures import reading
from jaxae.data.pictures.reading import Picture
from jaxae.data.pictures.scientific import ValueRange
from jaxae.errors import UserError

LARGE = 4  # a picture this many times the wanted size along its shorter side gives several crops
CROPS = 8  # of a large picture
HIDDEN = 16  # of 255: where alpha varies by more but its picture on white by less, white hides it
PIECES = 64  # at most, of one picture

Shape = tuple[int, int, int]  # height, width, channels
Cut = tuple[list[Images], tuple[str, ...]]  # what each page of a picture gives, and notes on the picture


class Misfit(UserError):
    """Two pictures that should show one scene do not."""


def resized(files: list[Path], seed: int, shape: Shape, value_range: ValueRange | None) -> Cut:
    """Resize the middle of each page of a picture to `shape`. A large page gives `CROPS` images, see `LARGE`."""
    height, width, channels = shape
    pages, cut = _read(files[0], value_range, draft=2 * LARGE * max(width, height)), []
    with reading.naming(files[0]):
        for number, page in enumerate(pages):
            rows, columns, _ = page.values.shape
            large = columns >= LARGE * width and rows >= LARGE * height
            cut.append(Images(_boxes(_as_image(page, channels), seed + number, shape, CROPS if large else 1)))
    return cut, _notes(pages)


def pieces(files: list[Path], seed: int, shape: Shape, value_range: ValueRange | None) -> Cut:
    """Cut each page of a picture into pieces without resizing it, so that its noise stays as it is.

    A page gives as many pieces, from random places, as would fill it, but at most `PIECES`.

    Args:
        files: A picture, or a clean one and a noisy one of the same scene, which are cut at the same places.
        seed: Draws the places.
        shape: The shape of the pieces.
        value_range: Black and white of floating-point values.

    Raises:
        Misfit: Two pictures differ in size or in the number of pages.
        UserError: A picture is smaller than `shape`.
    """
    read, cut = [_read(file, value_range) for file in files], []
    for number, pages in enumerate(itertools.zip_longest(*read)):
        sizes = [f"{page.values.shape[1]}×{page.values.shape[0]}" if page else "no" for page in pages]
        if len(set(sizes)) > 1:
            raise Misfit(f"{files[1]} is {sizes[1]} pixels and {files[0]} {sizes[0]}: they are no pair")
        with reading.naming(files[-1]):
            arrays = (np.asarray(_as_image(page, shape[2])) for page in pages)
            page = Images(*(array.reshape(*array.shape[:2], shape[2]) for array in arrays))
            cut.append(_pieces(page, seed + number, shape))
    return cut, _notes([page for pages in reversed(read) for page in pages])


def _read(file: Path, value_range: ValueRange | None, draft: int | None = None) -> list[Picture]:
    """The pages of `file`; a JPEG need not be decoded any larger than `draft`."""
    if reading.is_beyond_pillow(file):
        pages = reading.read_scientific(file)
    else:
        with reading.opened(file) as image:
            if draft:
                image.draft(None, (draft, draft))
            numbers = reading.pages(image) if image.format == "TIFF" else (0,)
            pages = [reading.decode(image, file, number) for number in numbers]
    with reading.naming(file):
        return [page.within(value_range) for page in pages]


def _notes(pages: list[Picture]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(note for page in pages for note in page.notes))


def _boxes(image: Any, seed: int, shape: Shape, crops: int) -> UInt8[np.ndarray, "crops h w c"]:
    from PIL import Image

    height, width, _ = shape
    scale = min(image.width / width, image.height / height)  # of the largest box with the wanted aspect
    left, top = image.width - scale * width, image.height - scale * height
    boxes = [(left / 2, top / 2, left / 2 + scale * width, top / 2 + scale * height)]
    random = np.random.default_rng(seed)
    for _ in range(crops - 1):
        part = scale * random.uniform(1 / LARGE, 1)
        x, y = random.uniform(0, 1, 2) * (image.width - part * width, image.height - part * height)
        boxes.append((x, y, x + part * width, y + part * height))
    resized = (image.resize((width, height), Image.Resampling.LANCZOS, box=box, reducing_gap=3) for box in boxes)
    return np.stack([np.asarray(one).reshape(shape) for one in resized])


def _pieces(page: Images, seed: int, shape: Shape) -> Images:
    """Pieces of a page, whose arrays are [rows, columns, channels], from the same places of each array."""
    (rows, columns, _), (height, width, _) = page.shape, shape
    if rows < height or columns < width:
        raise UserError(f"{columns}×{rows} pixels, smaller than the {width}×{height} that the network is trained on")
    random, count = np.random.default_rng(seed), min(PIECES, rows * columns // (height * width))
    tops, lefts = random.integers(0, rows - height + 1, count), random.integers(0, columns - width + 1, count)
    return page.take((tops[:, None, None] + np.arange(height)[:, None], lefts[:, None, None] + np.arange(width)))


def _as_image(picture: Picture, channels: int) -> Any:
    """The same picture with 8 bits a channel and nothing transparent, grey or in colors, as Pillow's."""
    from PIL import Image

    values, mode = _eight_bits(picture.values), "L" if channels == 1 else "RGB"
    image = Image.fromarray(values.squeeze(-1) if values.shape[2] == 1 else values)
    if picture.alpha is None:
        return image.convert(mode)
    alpha = Image.fromarray(_eight_bits(picture.alpha))
    image = image.convert("RGB")
    image.putalpha(alpha)
    white, black = (Image.alpha_composite(Image.new("RGBA", image.size, color), image) for color in ("white", "black"))
    is_hidden = np.ptp(np.asarray(white.convert("L"))) < HIDDEN <= np.ptp(np.asarray(alpha))
    return (black if is_hidden else white).convert(mode)


def _eight_bits(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.float32:
        values = np.rint(values * 255)
    return (values // 257 if values.dtype == np.uint16 else values).astype(np.uint8)
