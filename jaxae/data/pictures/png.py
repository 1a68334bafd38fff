"""PNG of 8 and 16 bits, with all chunks that describe the picture copied as they are.

The format: https://www.w3.org/TR/png-3/
"""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jaxae.data.pictures import photos
from jaxae.data.pictures.picture import Stored
from jaxae.errors import UserError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = set(b"cHRM gAMA iCCP sRGB cICP mDCV cLLI sBIT pHYs oFFs pCAL sCAL tEXt zTXt iTXt eXIf tIME".split())
_STORAGE = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_GREY, _COLOURS = 0, {1: 0, 2: 4, 3: 2, 4: 6}  # color types by the number of channels


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The name of each chunk, and the whole of it."""
    at = len(_SIGNATURE)
    while at < len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4])
        yield content[at + 4 : at + 8], content[at:end]
        at = end


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def read_png(path: Path, notes: list[str]) -> Stored:
    """Read a PNG; see `Format`. A palette becomes RGB, and a transparent color alpha."""
    content = path.read_bytes()
    depth, colour = content[24:26] or (0, 0)
    with photos.opened(io.BytesIO(content), "PNG") as image:
        image.load()  # whole, or an error
        if colour == _GREY:
            image.info.pop("transparency", None)
        values = _decode_deep(content, colour) if depth == 16 else photos.pixels(image)
        turned = photos.orientation(image)
    chunks = list(_chunks(content))
    key = dict(chunks).get(b"tRNS")
    if key is not None and colour == _GREY:
        most = np.iinfo(values.dtype).max
        scale = most // (2**depth - 1)
        alpha = np.where(values == scale * int.from_bytes(key[8:10]), 0, most).astype(values.dtype)
        values = np.concatenate([values, alpha], axis=-1)
    kept = _KEPT - ({b"sBIT"} if dict(chunks).keys() & {b"PLTE", b"tRNS"} else set())
    if lost := sorted({name.decode("latin1") for name, _ in chunks if name not in _KEPT | _STORAGE}):
        notes.append(f"not carried over: PNG's {', '.join(lost)}")
    return Stored([values], turned, b"".join(chunk for name, chunk in chunks if name in kept))


def _decode_deep(content: bytes, colour: int) -> np.ndarray:
    import cv2

    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        raise UserError("its 16-bit channels cannot be read; save it with 8 bits")
    values = values.reshape(*values.shape[:2], -1)  # of colors, OpenCV's order is blue, green, red
    return values[..., {0: [0], 4: [0, 3]}.get(colour, [2, 1, 0, 3][: values.shape[2]])]


def write_png(path: Path, stored: Stored) -> None:
    """Write a PNG; see `Format`. Every row is stored as its difference from the one above (filter 2)."""
    values = stored.arrays[0]
    height, width, channels = values.shape
    rows = values.astype(values.dtype.newbyteorder(">")).reshape(height, -1).view(np.uint8)
    filtered = np.full((height, 1 + rows.shape[1]), 2, np.uint8)
    filtered[:, 1:] = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))
    header = struct.pack(">IIBBBBB", width, height, 8 * values.itemsize, _COLOURS[channels], 0, 0, 0)
    data = _chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6))
    path.write_bytes(_SIGNATURE + _chunk(b"IHDR", header) + stored.extras + data + _chunk(b"IEND", b""))
