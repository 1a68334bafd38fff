"""Pictures of any size cut to the one that a network takes: resized, or in pieces as they are."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from jaxae.data.pictures import reading
from jaxae.data.pictures.reading import Picture
from jaxae.data.pictures.scientific import Limits
from jaxae.errors import UserError

LARGE = 4  # an image this many times the wanted size along its shorter side gives several crops
HIDDEN = 16  # of 255: where alpha varies by more but its picture on white by less, white hides it
PIECES = 64  # at most, of one picture

Cut = tuple[list[np.ndarray], tuple[str, ...]]  # images [height, width, channels] of bytes, and notes on them


class Misfit(UserError):
    """Two pictures that should be one of the other are not."""


def resized(file: Path, seed: int, shape: tuple[int, int, int], crops: int, limits: Limits | None) -> Cut:
    """The middle of each page of `file`, resized to `shape`; of a large one `crops` images, see `LARGE`."""
    height, width, _ = shape
    pages, sizes = _read(file, limits, draft=2 * LARGE * max(width, height))
    cut = []
    with reading.naming(file):
        for number, (page, (rows, columns)) in enumerate(zip(pages, sizes, strict=True)):
            large = columns >= LARGE * width and rows >= LARGE * height
            cut += _boxes(_as_image(page), seed + number, shape, crops if large else 1)
    return cut, _notes(pages)


def pieces(file: Path, seed: int, shape: tuple[int, int, int], limits: Limits | None) -> Cut:
    """Pieces of each page of `file` as it is, so that its noise is too: as many as fill it, up to `PIECES`.

    Raises UserError for a picture that is smaller than `shape`.
    """
    pages, _ = _read(file, limits)
    with reading.naming(file):
        cut = [_pieces(_bytes(page, shape[2]), seed + number, shape) for number, page in enumerate(pages)]
    return [piece for of_page in cut for piece in of_page], _notes(pages)


def paired(noisy: Path, clean: Path, seed: int, shape: tuple[int, int, int], limits: Limits | None) -> Cut:
    """`pieces` of two pictures of the same scene from the same places, the noisy one's channels first.

    Raises Misfit where they have not as many pages, or not the same size.
    """
    both = [_read(file, limits)[0] for file in (noisy, clean)]
    if len(both[0]) != len(both[1]):
        raise Misfit(f"{noisy} has {len(both[0])} pages and {clean} {len(both[1])}: they are no pair")
    cut: list[np.ndarray] = []
    for number, (first, second) in enumerate(zip(*both, strict=True)):
        sizes = [f"{page.values.shape[1]}×{page.values.shape[0]}" for page in (first, second)]
        if sizes[0] != sizes[1]:
            raise Misfit(f"{noisy} is {sizes[0]} pixels and {clean} {sizes[1]}: they are no pair")
        with reading.naming(noisy):
            joined = np.concatenate([_bytes(first, shape[2]), _bytes(second, shape[2])], axis=-1)
            cut += _pieces(joined, seed + number, shape)
    return cut, _notes([*both[0], *both[1]])


def _read(file: Path, limits: Limits | None, draft: int | None = None) -> tuple[list[Picture], list[tuple[int, int]]]:
    """The pages of `file`, and their sizes as stored; a JPEG need not be decoded any larger than `draft`."""
    if reading.is_beyond_pillow(file):
        pages = reading.read_scientific(file)
        sizes = [page.values.shape[:2] for page in pages]
    else:
        with reading.opened(file) as image:
            if draft:
                image.draft(None, (draft, draft))
            sizes, pages = [], []
            for number in reading.pages(image) if image.format == "TIFF" else (0,):
                sizes.append((image.height, image.width))
                pages.append(reading.decode(image, file, number))
    with reading.naming(file):
        return [page.within(limits) for page in pages], sizes


def _notes(pages: list[Picture]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(note for page in pages for note in page.notes))


def _boxes(image: Any, seed: int, shape: tuple[int, int, int], crops: int) -> list[np.ndarray]:
    from PIL import Image

    height, width, channels = shape
    image = image.convert("L" if channels == 1 else "RGB")
    scale = min(image.width / width, image.height / height)  # of the largest box with the wanted aspect
    left, top = image.width - scale * width, image.height - scale * height
    boxes = [(left / 2, top / 2, left / 2 + scale * width, top / 2 + scale * height)]
    random = np.random.default_rng(seed)
    for _ in range(crops - 1):
        part = scale * random.uniform(1 / LARGE, 1)
        x, y = random.uniform(0, 1, 2) * (image.width - part * width, image.height - part * height)
        boxes.append((x, y, x + part * width, y + part * height))
    resized = (image.resize((width, height), Image.Resampling.LANCZOS, box=box, reducing_gap=3) for box in boxes)
    return [np.asarray(one).reshape(shape) for one in resized]


def _pieces(pixels: np.ndarray, seed: int, shape: tuple[int, int, int]) -> list[np.ndarray]:
    (rows, columns, _), (height, width, _) = pixels.shape, shape
    if rows < height or columns < width:
        raise UserError(f"{columns}×{rows} pixels, smaller than the {width}×{height} that the network is trained on")
    random, count = np.random.default_rng(seed), min(PIECES, rows * columns // (height * width))
    tops, lefts = random.integers(0, rows - height + 1, count), random.integers(0, columns - width + 1, count)
    return [pixels[top : top + height, left : left + width] for top, left in zip(tops, lefts, strict=True)]


def _bytes(picture: Picture, channels: int) -> UInt8[np.ndarray, "h w c"]:
    image = _as_image(picture).convert("L" if channels == 1 else "RGB")
    return np.asarray(image).reshape(image.height, image.width, channels)


def _as_image(picture: Picture) -> Any:
    """The same picture with 8 bits a channel and nothing transparent, as Pillow's."""
    from PIL import Image

    values = _eight_bits(picture.values)
    image = Image.fromarray(values.squeeze(-1) if values.shape[2] == 1 else values)
    if picture.alpha is None:
        return image
    alpha = Image.fromarray(_eight_bits(picture.alpha))
    image = image.convert("RGB")
    image.putalpha(alpha)
    white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    (low, high), (clear, opaque) = white.convert("L").getextrema(), alpha.getextrema()
    if high - low < HIDDEN <= opaque - clear:
        return Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    return white


def _eight_bits(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint16:
        return (values // 257).astype(np.uint8)
    if values.dtype == np.float32:
        return np.rint(values * 255).astype(np.uint8)
    return values
