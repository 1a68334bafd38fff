"""What is no whole picture is named in one line."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxae.data.pictures import files
from jaxae.errors import UserError
from tests.data.pictures.test_files import mpo
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


def raw_camera_file() -> bytes:
    """A DNG as cameras write it: a thumbnail first."""
    buffer = io.BytesIO()
    tags = [(50706, 1, 4, b"\1\4\0\0", True)]
    tifffile.imwrite(buffer, pixels(60, 80, 3), photometric="rgb", subfiletype=1, extratags=tags, metadata=None)
    return buffer.getvalue()


def tiff(values, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


WHOLE = encoded(Image.fromarray(pixels(50, 50, 3)))
FRAMES = [Image.fromarray(pixels(9, 9, 3)) for _ in range(2)]
SEPARATE = {"photometric": "rgb", "planarconfig": "separate", "extrasamples": ["unspecified"] * 2}
FITS = b"SIMPLE  =                    T".ljust(2880) + bytes(2880)
BROKEN = {
    "text": (b"no picture at all", "not a picture of a format that can be read"),
    "empty": (b"", "the file is empty"),
    "truncated": (WHOLE[: len(WHOLE) // 2], "truncated"),
    "truncated jpeg": (encoded(Image.fromarray(pixels(50, 50, 3)), "JPEG")[:2000], "truncated"),
    "damaged": (WHOLE[:60] + bytes(200) + WHOLE[260:], ""),
    "bomb": (bomb(), "decompression bomb"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PostScript is not among the formats"),
    "animated": (encoded(FRAMES[0], save_all=True, append_images=FRAMES[1:]), "it holds 2 pictures"),
    "stereo": (mpo(*FRAMES, types=(0x020002, 0x020002)), r"it holds 2 pictures of one scene \(MPO\)"),
    "lab": (encoded(Image.new("LAB", (9, 9)), "TIFF"), "its colours are CIELAB; convert it to RGB"),
    "cmyk": (encoded(Image.new("CMYK", (9, 9)), "JPEG"), "its colours are CMYK; convert it to RGB"),
    "deep cmyk": (tiff(pixels(9, 9, 4, dtype=np.uint16), photometric="separated"), "its colours are SEPARATED"),
    "endless": (encoded(Image.fromarray(np.float32([[0, np.inf]])), "TIFF"), "not all finite"),
    "channels": (tiff(pixels(5, 9, 9), **SEPARATE), "5 channels, some that are not grey, RGB or alpha"),
    "spots": (tiff(pixels(9, 9, 3), photometric="minisblack", planarconfig="contig"), "3 channels, some"),
    "multiplied": (tiff(pixels(9, 9, 4), photometric="rgb", extrasamples=["assocalpha"]), "are multiplied by"),
    "raw": (raw_camera_file(), "a camera's raw file"),
    "cr2": (b"II*\0\x10\0\0\0CR\2\0" + bytes(99), "a camera's raw file is not among the formats"),
    "gif": (encoded(FRAMES[0], "GIF"), "GIF is not among the formats .*: convert it to PNG or TIFF"),
    "avif": (b"\0\0\0\x20ftypavif" + bytes(40), "AVIF is not among"),
    "jp2": (encoded(FRAMES[0], "JPEG2000"), "JPEG 2000 is not among"),
    "fits": (FITS, "FITS is not among"),
    "colour pfm": (b"PF\n2 1\n-1.0\n" + bytes(24), "PFM is not among"),
    "hdr": (b"#?RADIANCE\n", "Radiance HDR is not among"),
    "pgm": (b"P5 9 9 255\n" + bytes(80), "cut off, damaged, or more than one"),
    "pgm above": (b"P5 1 1 9\n\x0a", "a value above 9"),
    "npy": (b"\x93NUMPY\1\0", ""),
    "npz": (b"PK\3\4" + bytes(40), ""),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_picture_is_named_in_one_line(tmp_path, name):
    content, said = BROKEN[name]
    path = tmp_path / f"{name}.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"^{path}: .*{said}") as caught:
        files.read_picture(path)
    assert "\n" not in str(caught.value)


def test_an_array_is_no_larger_than_other_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    np.savez_compressed(tmp_path / "a.npz", np.zeros((10, 90), np.uint8))  # refused before it is unpacked
    np.save(tmp_path / "a.npy", np.zeros((10, 11, 3), np.uint8))
    for name in ("a.npz", "a.npy"):
        with pytest.raises(UserError, match="its arrays have more than 0 megapixels; split it"):
            files.read_picture(tmp_path / name)
    np.save(tmp_path / "b.npy", np.zeros((10, 10, 3), np.uint8))
    assert files.read_picture(tmp_path / "b.npy").pages[0].values.shape == (10, 10, 3)


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
