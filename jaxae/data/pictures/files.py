"""Picture files that become others of the same format: read with their metadata, written, and read back to check."""

import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from jaxae.data.pictures import reading, scene, scientific
from jaxae.data.pictures.reading import Picture
from jaxae.data.pictures.scientific import ValueRange
from jaxae.errors import UserError
from jaxae.files import replacing

# What Pillow writes of each format that it writes well enough. JPEG 2000 is without loss by itself.
_SAVE: dict[str, dict[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "JPEG2000": {},
    "TIFF": {"compression": "tiff_deflate"},
    **{kind: {} for kind in ("BMP", "DIB", "PPM", "TGA", "QOI", "SGI")},
}
_LOSSY = {"JPEG", "WEBP", "AVIF"}


class PictureFile(NamedTuple):
    """A picture file as it was read.

    Attributes:
        pages: One page, or all pages of a TIFF.
        format: Pillow's name of the format.
        metadata: The metadata of the scene, as arguments of Pillow's `save`.
        notes: What the user should know of how it was read, each once.
        value_range: Black and white of its floating-point values; None for 0 and 1.
    """

    pages: list[Picture]
    format: str
    metadata: dict[str, Any]
    notes: tuple[str, ...]
    value_range: ValueRange | None = None


def page_sizes(path: Path) -> list[tuple[int, int]]:
    """The height and width of each page as stored, before it is turned upright.

    Raises:
        UserError: The file is damaged, of a format that cannot be written, or too large.
    """
    if reading.is_beyond_pillow(path):
        with reading.naming(path):
            return _check_sum([page.size for page in scientific.list_pages(path)])
    with reading.opened(path) as image:
        _check_kind(image)
        if image.format != "TIFF":
            return [(image.height, image.width)]
        return _check_sum([(image.height, image.width) for _ in reading.pages(image)])


def _check_kind(image: Any) -> None:
    kind, count = image.format, reading.frames(image)
    if kind not in (*_SAVE, "MPO"):
        raise UserError(f"{kind} is read but not written: convert it to PNG first")
    if kind != "TIFF" and count > 1:
        raise UserError(f"it holds {count} pictures, as an animation; give each a file of its own")


def _check_sum(sizes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    from PIL import Image

    most = 2 * (Image.MAX_IMAGE_PIXELS or np.inf)  # Pillow's own limit for one picture
    if sum(height * width for height, width in sizes) > most:
        raise UserError(f"its pages have more than {most / 1e6:,.0f} megapixels; split it")
    return sizes


def read_picture(path: Path, value_range: ValueRange | None = None) -> PictureFile:
    """The picture file `path`, its floating-point values scaled from `value_range` to [0, 1].

    Raises:
        UserError: The file is damaged, of a format that cannot be written, or has values outside of `value_range`.
    """
    file = _read_as_stored(path)
    with reading.naming(path):
        return file._replace(pages=[page.within(value_range) for page in file.pages], value_range=value_range)


def _read_as_stored(path: Path) -> PictureFile:
    page_sizes(path)
    notes: list[str] = []
    if reading.is_beyond_pillow(path):
        pages, kind = reading.read_scientific(path), "TIFF"
        with reading.naming(path):
            metadata = scene.metadata(None, path, notes)
    else:
        with reading.opened(path) as image:
            kind = "JPEG" if image.format == "MPO" else image.format  # a telephone's JPEG with a preview inside
            converted = image.mode == "CMYK"
            pages, metadata = [], {}
            for number in reading.pages(image) if kind == "TIFF" else (0,):
                pages.append(reading.decode(image, path, number))
                # only now: Pillow decodes a PNG in order to find its EXIF
                metadata = metadata if len(pages) > 1 else scene.metadata(image, path, notes)
            if kind == "TIFF" and len(pages) < reading.frames(image):
                notes.append("its thumbnails and masks are left out")
        if converted:  # the profile was of the other colours
            metadata.pop("icc_profile", None)
    for page in pages:
        notes += page.notes
        if page.alpha is not None and np.ptp(page.alpha) and not np.ptp(page.values[page.alpha > 0], axis=0).any():
            notes.append("all that is seen of it is in its alpha, which stays as it is")
    deep = any(page.values.shape[2] + (page.alpha is not None) > 1 and page.values.dtype != np.uint8 for page in pages)
    if kind == "TIFF" and deep and not scene.simple_tags(metadata)[1]:
        notes.append("EXIF other than texts and resolution is left out")
    return PictureFile(pages, kind, metadata, tuple(dict.fromkeys(notes)))


def write_picture(path: Path, file: PictureFile, restored: list[Float32[np.ndarray, "_ _ channels"]]) -> None:
    """Write restored pages with the format, depth, alpha and metadata of `file`, all or nothing.

    The new file is read back before it gets its name.

    Args:
        path: Where it is written.
        file: The picture that was restored.
        restored: Its pages, which are clipped to [0, 1].

    Raises:
        UserError: The pages cannot be written, or are not what was read back.
    """
    arrays = [_as_stored(page, values, file.value_range) for page, values in zip(file.pages, restored, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        try:
            _encode(temporary, file, arrays)
            _check_written(temporary, file, arrays)
        except OSError as error:
            if error.errno is not None:  # no space, no right: of the place, and not of the picture
                raise
            raise UserError(f"{path}: cannot be written: {error}") from error
        except Exception as error:  # whatever the encoders make of what is new to them
            said = str(error).removeprefix(f"{temporary}: ") or type(error).__name__
            raise UserError(f"{path}: cannot be written: {said}") from error


def _as_stored(page: Picture, values: np.ndarray, value_range: ValueRange | None) -> np.ndarray:
    dtype = page.values.dtype
    pixels = np.clip(values, 0, 1)
    if dtype == np.float32:
        pixels = scientific.from_unit(pixels, value_range)
    else:
        pixels = np.rint(pixels * np.float32(np.iinfo(dtype).max)).astype(dtype)
    return pixels if page.alpha is None else np.concatenate([pixels, page.alpha[..., None]], axis=-1)


def _encode(path: Path, file: PictureFile, arrays: list[np.ndarray]) -> None:
    from PIL import Image

    beyond = any(x.shape[2] > 1 and x.dtype != np.uint8 for x in arrays)
    tags, are_all = scene.simple_tags(file.metadata)
    if beyond and file.format == "TIFF":
        scientific.write_pages(path, arrays, tags, file.metadata.get("icc_profile"))
        return
    if beyond:
        path.write_bytes(_encode_deep(file, arrays[0]))
        return
    first, *rest = (Image.fromarray(x.squeeze(-1) if x.shape[2] == 1 else x) for x in arrays)
    if first.mode == "LA" and file.format == "WEBP":
        first = first.convert("RGBA")
    options = _SAVE[file.format] | file.metadata
    if file.format == "TIFF" and not are_all:
        options["compression"] = "raw"  # Pillow cannot write a compressed TIFF with an EXIF block
    if rest:
        options |= {"save_all": True, "append_images": rest}
    if first.mode == "L" and file.format == "AVIF":
        options["subsampling"] = "4:0:0"
    first.save(path, file.format, **options)


def _encode_deep(file: PictureFile, pixels: np.ndarray) -> bytes:
    """Encode 16-bit colors by OpenCV, which writes no metadata: that of a PNG is inserted after its header."""
    import cv2

    blue_first = pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    done, encoded = cv2.imencode({"PNG": ".png", "PPM": ".ppm"}[file.format], blue_first)
    if not done:
        raise UserError("OpenCV could not encode it")
    content = encoded.tobytes()
    if file.format != "PNG":
        return content

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    extra = b""
    if profile := file.metadata.get("icc_profile"):
        extra += chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile))
    if dpi := file.metadata.get("dpi"):
        extra += chunk(b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in dpi), 1))
    if exif := file.metadata.get("exif"):
        extra += chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    header = 8 + 25  # signature, and the chunk IHDR
    return content[:header] + extra + content[header:]


def _check_written(path: Path, file: PictureFile, arrays: list[np.ndarray]) -> None:
    """Raise UserError unless the file opens and holds `arrays`, exactly so if the format is lossless."""
    again = _read_as_stored(path)
    if again.format != file.format or len(again.pages) != len(arrays):
        raise UserError(f"read back as {len(again.pages)} {again.format} pictures")
    for page, wanted in zip(again.pages, arrays, strict=True):
        found = page.values if page.alpha is None else np.concatenate([page.values, page.alpha[..., None]], axis=-1)
        grey_as_colours = file.format == "WEBP" and found.shape[2] - wanted.shape[2] == 2
        if found.dtype != wanted.dtype or (found.shape != wanted.shape and not grey_as_colours):
            raise UserError(f"read back as {found.dtype} of shape {found.shape}")
        if file.format not in _LOSSY and not np.array_equal(found, wanted):
            raise UserError("read back with other values")
