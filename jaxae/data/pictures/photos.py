"""Photographs of 8 bits: JPEG, WebP, BMP and HEIC, read and written by Pillow, with their metadata copied as it is."""

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from jaxae.data.pictures.picture import Stored
from jaxae.errors import UserError

_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr")
_METADATA = ("exif", "icc_profile", "xmp", "dpi", "comment")  # in Pillow's `info`, and arguments of its `save`
_TIED = re.compile(rb"MotionPhoto|MicroVideo|hdrgm|GContainer|HDRGainMap")  # XMP about further data in the file
_BESIDE = ("aux", "depth_images", "thumbnails")  # of a HEIC, in Pillow's `info`
_BEHIND = "data behind the picture, such as the video of a motion photo"
_KNOWN = (b"JFIF", b"Exif", b"http://ns.adobe.com/xap/1.0/", b"ICC_PROFILE", b"Adobe", b"MPF")  # segments of a JPEG


@contextmanager
def opened(file: Any, kind: str) -> Iterator[Any]:
    """The one picture in a file that Pillow calls `kind`, not decoded yet."""
    from PIL import Image

    with Image.open(file, formats=[kind]) as image:
        count = getattr(image, "n_frames", 1)
        if count > 1 and image.format != "MPO":
            raise UserError(f"it holds {count} pictures; give each a file of its own")
        yield image


def orientation(image: Any) -> int:
    """The EXIF orientation, 1 to 8; 1 if it is missing or damaged."""
    try:
        value = image.getexif().get(0x0112, 1)
    except Exception:  # whatever Pillow makes of broken EXIF, which is no reason to refuse the pixels
        return 1
    return value if value in range(1, 9) else 1


def pixels(image: Any) -> np.ndarray:
    """Gray or RGB, uint8, with alpha if there is any. A palette becomes RGB, one bit eight.

    Raises:
        UserError: The image has other colors.
    """
    if image.mode not in _MODES:
        raise UserError(f"its colours are {image.mode}; convert it to RGB")
    transparent = "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa")
    mode = ("L" if image.mode in ("1", "L", "LA", "La") else "RGB") + ("A" if transparent else "")
    values = np.asarray(image.convert(mode))
    return values.reshape(*values.shape[:2], -1)


def _read(kind: str, path: Path, notes: list[str], draft: int | None = None) -> Stored:
    with path.open("rb") as file, opened(file, kind) as image:
        options = {name: image.info[name] for name in _METADATA if image.info.get(name)}
        lost = ["data beside the picture, such as depth and gain maps"] * any(map(image.info.get, _BESIDE))
        if kind == "HEIF" and image.info["bit_depth"] > 8:
            raise UserError(f"{image.info['bit_depth']} bits a channel in HEIC: save it as PNG or TIFF of 16 bits")
        if kind == "WEBP" and b"VP8L" in path.read_bytes()[:64]:
            options |= {"lossless": True, "exact": True}
        if kind == "JPEG":
            lost += _lost_of_jpeg(image, path.read_bytes())
            options["subsampling"] = 0
            image.draft(None, (draft, draft) if draft else None)
        if _TIED.search(options.get("xmp", b"")):
            lost.append("XMP about further data in the file")
            del options["xmp"]
        notes += [f"not carried over: {each}" for each in lost]
        return Stored([pixels(image)], orientation(image), options)


def _lost_of_jpeg(image: Any, content: bytes) -> list[str]:
    """What a JPEG has beside the picture and its metadata."""
    pictures = [str(each["Attribute"]["MPType"]) for each in getattr(image, "mpinfo", {}).get(0xB002, [])]
    if any(each.startswith("Multi-Frame") for each in pictures):
        raise UserError(f"it holds {len(pictures)} pictures of one scene (MPO); give each a file of its own")
    lost = {name for name, data in image.applist if name != "COM" and not data.startswith(_KNOWN)}
    lost |= {"further pictures in it, such as gain maps and previews"} if len(pictures) > 1 else set()
    lost |= {_BEHIND} if not content.rstrip(b"\0").endswith(b"\xff\xd9") else set()
    return sorted(lost)


def _write(kind: str, path: Path, stored: Stored) -> None:
    from PIL import Image

    values = stored.arrays[0]
    image = Image.fromarray(values.squeeze(-1) if values.shape[2] == 1 else values)
    image.save(path, kind, **{"quality": 95} | stored.extras)


def _read_heic(path: Path, notes: list[str], draft: int | None = None) -> Stored:
    try:
        import pillow_heif
    except ImportError as error:
        raise UserError("HEIC needs the package pillow-heif: pip install -e '.[heic]'") from error
    pillow_heif.register_heif_opener()
    return _read("HEIF", path, notes, draft)


JPEG, WEBP, BMP = (
    (functools.partial(_read, kind), functools.partial(_write, kind)) for kind in ("JPEG", "WEBP", "BMP")
)
HEIC = _read_heic, functools.partial(_write, "HEIF")
