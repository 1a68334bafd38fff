"""TIFFs as cameras on microscopes write them: colors of 16 bits or floating point, separate planes, many channels.

Pillow keeps eight bits of such colors or does not open the file at all. tifffile reads and writes them.
"""

import logging
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from jaxae.errors import UserError

_INVERTED, _GREY, _RGB = 0, 1, 2  # photometric interpretations
_ASSOCIATED, _UNASSOCIATED = 1, 2  # kinds of alpha among the extra samples


def _tifffile() -> Any:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what is wrong with a file is said in one line, here
    return tifffile


ValueRange = tuple[float, float]


def parse_value_range(text: str | None) -> ValueRange | None:
    """Black and white from text like "0,4095"; None from None.

    Raises:
        UserError: The text is not two numbers, the first the lower.
    """
    if text is None:
        return None
    try:
        low, high = (float(number) for number in text.split(","))
        if low < high and math.isfinite(high - low):
            return low, high
    except ValueError:
        pass
    raise UserError(f"`data.range` {text}: must be LOW,HIGH, two numbers, the lower one first, as in 0,4095")


def as_finite_floats(values: np.ndarray) -> Float32[np.ndarray, "height width channels"]:
    """Floating-point `values` as float32.

    Raises:
        UserError: Some are not finite.
    """
    values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise UserError("floating-point values that are not all finite; save it with numbers alone")
    return values


def to_unit(values: Float32[np.ndarray, "..."], value_range: ValueRange | None) -> Float32[np.ndarray, "..."]:
    """Scale `values` from `value_range`, black and white, by default 0 and 1, to [0, 1].

    Raises:
        UserError: Some are outside of `value_range`.
    """
    low, high = value_range or (0.0, 1.0)
    found = f"floating-point values from {values.min():g} to {values.max():g}"
    if values.min() < np.float32(low) or values.max() > np.float32(high):
        what = (
            "give black and white as `data.range` LOW,HIGH"
            if value_range is None
            else f"beyond `data.range` {low:g},{high:g}"
        )
        raise UserError(f"{found}: {what}")
    return values if value_range is None else np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)


def from_unit(values: Float32[np.ndarray, "..."], value_range: ValueRange | None) -> Float32[np.ndarray, "..."]:
    """The inverse of `to_unit`."""
    low, high = value_range or (0.0, 1.0)
    return values if value_range is None else np.float32(low) + values * np.float32(high - low)


def drop_extra(samples: int, kept: int, notes: list[str]) -> None:
    """Add a line to `notes` that only `kept` of `samples` channels are read, the colors and alpha.

    Raises:
        UserError: The channels are not RGB.
    """
    if kept < 3:
        raise UserError(f"{samples} channels that are not RGB; give each a page of its own")
    notes.append("channels that are neither colour nor alpha are left out")


def is_tiff(path: Path) -> bool:
    """Whether the file begins like a TIFF or a BigTIFF."""
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class Page(NamedTuple):
    """A page of a TIFF.

    Attributes:
        number: Its index in the file.
        size: Its height and width as stored.
        orientation: Its EXIF orientation, 1 to 8.
    """

    number: int
    size: tuple[int, int]
    orientation: int


def list_pages(path: Path) -> list[Page]:
    """The pages of the TIFF `path`, without thumbnails and masks."""
    with _tifffile().TiffFile(path) as file:
        pages = [page.aspage() for page in file.pages]
    return [
        Page(number, (page.imagelength, page.imagewidth), int(page.tags.valueof(274, default=1)))
        for number, page in enumerate(pages)
        if len(pages) == 1 or not page.subfiletype & 0b101
    ]


def read_page(path: Path, number: int, notes: list[str]) -> np.ndarray:
    """The pixels of a page as stored.

    Args:
        path: The TIFF.
        number: The index of the page.
        notes: Receives a line if channels are left out.

    Returns:
        An array [height, width, channels] of 1 to 4 channels: uint8, uint16, or float32, all finite.

    Raises:
        UserError: The page is damaged, its values have another type, or its channels are neither gray nor RGB.
    """
    with _tifffile().TiffFile(path) as file:
        page = file.pages[number].aspage()
        if page.photometric not in (_INVERTED, _GREY, _RGB):
            raise UserError(f"its colours are {page.photometric.name}; convert it to RGB")
        extra = tuple(int(kind) for kind in page.extrasamples)
        stored = list(zip(page.dataoffsets, page.databytecounts, strict=False))
        # tifffile fills with zeros what is missing
        if len(stored) < math.prod(page.chunked) or any(not n or at + n > file.filehandle.size for at, n in stored):
            raise UserError("cut off or damaged")
        pixels = _decode(page, path, number)
    if page.photometric == _RGB and page.samplesperpixel == 4 and not extra:
        extra = (_UNASSOCIATED,)  # as OpenCV and others leave it out
    colours = page.samplesperpixel - len(extra)
    if colours not in (1, 3) or (colours == 3) != (page.photometric == _RGB):
        drop_extra(page.samplesperpixel, 1, notes)
    kept = colours + (extra[:1] in ((_ASSOCIATED,), (_UNASSOCIATED,)))
    if kept < page.samplesperpixel:
        drop_extra(page.samplesperpixel, kept, notes)
        pixels = pixels[..., :kept]
    if pixels.dtype.kind == "f":
        pixels = as_finite_floats(pixels)
    elif pixels.dtype not in (np.uint8, np.uint16):
        raise UserError(f"values of type {pixels.dtype}; save it with 8 or 16 bits")
    most = 1 if pixels.dtype == np.float32 else np.iinfo(pixels.dtype).max
    if extra[:1] == (_ASSOCIATED,):
        alpha = pixels[..., -1:]
        plain = pixels[..., :-1] / np.maximum(alpha, 1e-6 if most == 1 else 1) * most  # float64, or float32 for floats
        plain = np.minimum(plain, most) if most == 1 else np.rint(np.minimum(plain, most))
        pixels = np.concatenate([plain.astype(pixels.dtype), alpha], axis=-1)
    if page.photometric == _INVERTED:
        if most == 1 and (pixels.min() < 0 or pixels.max() > 1):
            raise UserError(f"floating-point values, 0 being white, up to {pixels.max():g}; save it with 0 as black")
        pixels = np.concatenate([most - pixels[..., :1], pixels[..., 1:]], axis=-1)
    return pixels


def _decode(page: Any, path: Path, number: int) -> np.ndarray:
    shape = page.imagelength, page.imagewidth, page.samplesperpixel
    apart = page.planarconfig == 2 and page.samplesperpixel > 1
    try:
        pixels = np.asarray(page.asarray()).reshape((shape[2], *shape[:2]) if apart else shape)
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise UserError("cut off or damaged") from error
        # a compression that tifffile leaves to a further package; OpenCV knows the usual ones
        import cv2

        level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            content = np.fromfile(path, np.uint8)
            _, read = cv2.imdecodemulti(content, cv2.IMREAD_UNCHANGED, range=(number, number + 1))
        finally:
            cv2.utils.logging.setLogLevel(level)
        if not read:
            raise UserError(f"damaged, or its compression, {page.compression.name}, is unknown") from None
        if apart or read[0].size != np.prod(shape) or read[0].dtype != page.dtype:
            raise UserError(f"compressed by {page.compression.name}; save it without compression") from None
        pixels = read[0].reshape(shape)
        return pixels[..., [2, 1, 0, 3][: shape[2]]] if shape[2] > 2 else pixels  # OpenCV's order is blue, green, red
    pixels = np.moveaxis(pixels, 0, -1) if apart else pixels
    return pixels.astype(pixels.dtype.newbyteorder("="))


def write_pages(path: Path, pages: list[np.ndarray], tags: dict[int, Any], profile: bytes | None) -> None:
    """Write a compressed TIFF.

    Args:
        path: The file.
        pages: Arrays [height, width, channels] of 1 to 4 channels, of any depth.
        tags: Tags of the scene by number. Texts and the resolution (282, 283, 296) are written, no others.
        profile: The ICC color profile.
    """
    import tifffile

    texts = [(tag, "s", 0, value, True) for tag, value in tags.items() if isinstance(value, str)]
    resolution = (float(tags[282]), float(tags[283])) if {282, 283} <= set(tags) else None
    with tifffile.TiffWriter(path) as file:
        for pixels in pages:
            channels = pixels.shape[2]
            file.write(
                pixels.squeeze(-1) if channels == 1 else pixels,
                photometric="rgb" if channels > 2 else "minisblack",
                planarconfig="contig" if channels > 1 else None,
                extrasamples=["unassalpha"] if channels in (2, 4) else None,
                compression="zlib",
                resolution=resolution,
                resolutionunit=int(tags.get(296, 2)) if resolution else None,
                iccprofile=profile,
                extratags=texts,
                metadata=None,
                software=False,
                contiguous=False,
            )
