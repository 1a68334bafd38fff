"""Small pictures, and the way in and out again."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from jaxae.data.pictures import files
from jaxae.data.pictures.files import PictureFile
from jaxae.data.pictures.picture import Picture

RANDOM = np.random.default_rng(0)


def pixels(*shape, dtype=np.uint8):
    return RANDOM.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def smooth(height=24, width=36, channels=3):
    """Values that a JPEG keeps well."""
    coarse = Image.fromarray(pixels(3, 4, channels) if channels > 1 else pixels(3, 4))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def copy(source, place=None, value_range=None) -> PictureFile:
    """The file that `source` becomes when nothing is done to its values; what was read of it."""
    file = files.read_picture(source, value_range)
    files.write_picture(place or source.with_name(f"copy-{source.name}"), file, [page.floats() for page in file.pages])
    return file


def only(file: PictureFile) -> Picture:
    assert len(file.pages) == 1
    return file.pages[0]


def encoded(image, kind="PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(values: np.ndarray, colour: int, depth: int, *chunks: bytes) -> bytes:
    """A PNG of `values`, which are packed already if they have less than 8 bits, with chunks after its header."""
    height, rows = len(values), values.reshape(len(values), -1)
    rows = rows.astype(">u2").view(np.uint8) if depth == 16 else rows
    width = values.shape[1] * 8 // depth if depth < 8 else values.shape[1]
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), *chunks, chunk(b"IDAT", data), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def patched(content: bytes, name: bytes, change) -> bytes:
    """The PNG `content` with the data of its chunk `name` changed."""
    at = content.index(name) - 4
    length = struct.unpack(">I", content[at : at + 4])[0]
    return content[:at] + chunk(name, change(content[at + 8 : at + 8 + length])) + content[at + 12 + length :]
