"""What is no whole picture is named in one line."""

import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxae.data.pictures import files
from jaxae.errors import UserError
from tests.data.pictures.tools import copy, encoded, pixels


def bomb() -> bytes:
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


WHOLE = encoded(Image.fromarray(pixels(50, 50, 3)))
FRAMES = [Image.fromarray(pixels(9, 9, 3)) for _ in range(2)]
BROKEN = {
    "text": (b"no picture at all", "not a picture of a kind that can be read"),
    "empty": (b"", "the file is empty"),
    "truncated": (WHOLE[: len(WHOLE) // 2], "truncated"),
    "damaged": (WHOLE[:60] + bytes(200) + WHOLE[260:], ""),
    "bomb": (bomb(), "decompression bomb"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture of a kind that can be read"),
    "animated": (encoded(FRAMES[0], save_all=True, append_images=FRAMES[1:]), "it holds 2 pictures"),
    "lab": (encoded(Image.new("LAB", (9, 9)), "TIFF"), "its colours are LAB; convert it to RGB"),
    "floats": (
        encoded(Image.fromarray(np.float32([[-1, 2.5]])), "TIFF"),
        "floating-point values from -1 to 2.5: give black and white as `data.range`",
    ),
    "endless": (encoded(Image.fromarray(np.float32([[0, np.inf]])), "TIFF"), "not all finite"),
    "gif": (encoded(FRAMES[0], "GIF"), "GIF is read but not written: convert it to PNG first"),
    "integers": (encoded(Image.fromarray(np.full((9, 9), -5, np.int32)), "TIFF"), "32-bit values from -5"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_picture_is_named_in_one_line(tmp_path, name):
    content, said = BROKEN[name]
    path = tmp_path / f"{name}.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"^{path}: .*{said}") as caught:
        files.read_picture(path)
    assert "\n" not in str(caught.value)


def test_deep_pictures_that_are_cut_off_are_refused(tmp_path):
    content = cv2.imencode(".png", pixels(50, 50, 3, dtype=np.uint16))[1].tobytes()
    (tmp_path / "deep.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="truncated"):
        files.read_picture(tmp_path / "deep.png")


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"tile": (16, 16)}, {"bigtiff": True}])
def test_deep_tiffs_that_are_cut_off_are_refused(tmp_path, options):
    path = tmp_path / "deep.tif"
    tifffile.imwrite(path, pixels(50, 50, 3, dtype=np.uint16), photometric="rgb", **options)
    content = path.read_bytes()
    copy(path)
    for length in (len(content) // 2, len(content) - 40):
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=f"^{path}: "):
            files.read_picture(path)
