"""Pixels of an opened picture of any mode, as an array of gray or RGB with or without alpha."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from jaxae.data.pictures import scientific
from jaxae.errors import UserError

_BITS, _PHOTOMETRIC, _SAMPLES = 258, 262, 277  # TIFF tags


def is_deep(image: Any) -> bool:
    """Whether Pillow would read more than eight bits wrongly.

    It keeps the upper eight bits of colors, and returns the negative of a picture whose zero is white.

    Raises:
        UserError: No decoder reads the values of this picture.
    """
    if image.mode == "CMYK":
        return False
    whole = image.mode.startswith(("I", "F"))
    if image.format == "TIFF":
        white_is_zero = image.tag_v2.get(_PHOTOMETRIC) == 0
        return max(image.tag_v2.get(_BITS, (1,))) > 8 and (not whole or white_is_zero)
    if whole:
        return False
    if image.format == "PPM" and image.mode == "RGB":
        most = image.tile[0][3][-1] if isinstance(image.tile[0][3], tuple) else 255
        if isinstance(most, int) and 255 < most != 65535:
            raise UserError(f"its values go to {most:,}; save it with 8 or 16 bits")
        return most == 65535
    if image.format == "JPEG2000" and image.mode != "L":
        bits = _bits_in_jpeg_2000(image)
        if bits > 8:
            raise UserError(f"{bits} bits a channel in JPEG 2000; save it as PNG or TIFF")
    return ";16" in str(image.tile)


def _bits_in_jpeg_2000(image: Any) -> int:
    """Bits of the first channel, from the marker SIZ of the codestream (ISO/IEC 15444-1, A.5.1)."""
    where = image.fp.tell()
    image.fp.seek(0)
    head = image.fp.read(1 << 16)
    image.fp.seek(where)
    at = head.find(b"\xff\x4f\xff\x51")
    return (head[at + 42] & 0x7F) + 1 if 0 <= at < len(head) - 42 else 8


def read_plain(image: Any, notes: list[str]) -> np.ndarray:
    """The pixels of a loaded image.

    Args:
        image: The image, opened by Pillow.
        notes: Receives a line for each change, such as a conversion to RGB.

    Returns:
        An array [height, width, channels] of 1 to 4 channels: uint8, uint16 or float32.

    Raises:
        UserError: Its values or colors cannot be read.
    """
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise UserError(f"32-bit values from {values.min()} to {values.max()}; save it with 8 or 16 bits")
        return values.astype(np.uint16)[..., None]
    if image.mode == "F":
        return scientific.as_finite_floats(np.asarray(image)[..., None])
    if image.mode == "CMYK":
        notes.append("CMYK becomes RGB")
        image = _from_cmyk(image)
    if image.mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr"):
        raise UserError(f"its colours are {image.mode}; convert it to RGB")
    transparent = "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa")
    grey = image.mode in ("1", "L", "LA", "La")
    mode = ("L" if grey else "RGB") + ("A" if transparent else "")
    pixels = np.asarray(image.convert(mode))
    return pixels.reshape(*pixels.shape[:2], -1)


def _from_cmyk(image: Any) -> Any:
    """The CMYK `image` in RGB, by its own color profile, or by Pillow's formula if it has none."""
    from PIL import ImageCms

    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (KeyError, OSError, ImageCms.PyCMSError):
        return image.convert("RGB")


def say_what_pillow_drops(image: Any, pixels: np.ndarray, notes: list[str]) -> None:
    """Add a line to `notes` if a TIFF has channels that are not among its `pixels`.

    Raises:
        UserError: It has several channels that are not RGB.
    """
    samples = image.tag_v2.get(_SAMPLES, 1) if image.mode != "CMYK" else 1
    if isinstance(samples, int) and samples > len(image.getbands()):
        scientific.drop_extra(samples, pixels.shape[2], notes)


def read_deep(path: Path) -> np.ndarray:
    """The pixels of a color picture of 16 bits a channel, read by OpenCV: uint16 [height, width, 3 or 4].

    Raises:
        UserError: OpenCV cannot read it.
    """
    import cv2

    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        raise UserError("its 16-bit channels cannot be read; save it with 8 bits")
    return values[..., [2, 1, 0, 3][: values.shape[2]]]  # OpenCV's order is blue, green, red
