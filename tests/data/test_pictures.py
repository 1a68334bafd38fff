import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from jaxae import pictures
from jaxae.errors import UserError

RANDOM = np.random.default_rng(0)


def pixels(*shape, dtype=np.uint8):
    return RANDOM.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp", ".webp", ".jpg"])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 3), (9, 7, 4), (9, 7, 2)])
def test_kind_depth_and_alpha_stay(tmp_path, suffix, shape):
    if len(shape) == 3 and shape[2] in (2, 4) and suffix in (".bmp", ".jpg"):
        pytest.skip("has no alpha")
    source, copy = tmp_path / f"in{suffix}", tmp_path / "deep" / f"out{suffix}"
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    image = Image.fromarray(pixels(*shape))
    (image.convert("RGBA") if suffix == ".webp" and image.mode == "LA" else image).save(source, **options)
    picture = pictures.read(source)
    pictures.write(copy, picture, picture.floats())
    with Image.open(source) as before, Image.open(copy) as after:
        assert (before.format, before.mode, before.size) == (after.format, after.mode, after.size)
        if suffix in (".png", ".tiff", ".bmp"):
            np.testing.assert_array_equal(np.asarray(before), np.asarray(after))
        elif before.mode.endswith("A"):
            np.testing.assert_array_equal(np.asarray(before)[..., -1], np.asarray(after)[..., -1])
    assert pictures.size(source) == (9, 7)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_stay(tmp_path, suffix, channels):
    values = pixels(6, 5, channels, dtype=np.uint16)
    source, copy = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    cv2.imwrite(str(source), values)  # blue first, on both sides of the comparison
    picture = pictures.read(source)
    assert picture.values.dtype == np.uint16
    if channels > 1:
        np.testing.assert_array_equal(picture.values, values[..., 2::-1])
    pictures.write(copy, picture, picture.floats())
    np.testing.assert_array_equal(cv2.imread(str(copy), cv2.IMREAD_UNCHANGED).reshape(values.shape), values)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright_and_keeps_the_rest_of_its_exif(tmp_path, orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "maker"
    Image.fromarray(pixels(4, 6, 3)).save(tmp_path / "in.png", exif=exif)
    picture = pictures.read(tmp_path / "in.png")
    with Image.open(tmp_path / "in.png") as image:
        np.testing.assert_array_equal(picture.values, np.asarray(ImageOps.exif_transpose(image)))
    pictures.write(tmp_path / "out.png", picture, picture.floats())
    with Image.open(tmp_path / "out.png") as image:
        assert 0x0112 not in image.getexif()
        assert image.getexif()[0x010F] == "maker"


def test_palettes_and_single_bits_become_what_they_show(tmp_path):
    coloured = Image.fromarray(pixels(8, 8, 3)).quantize(7)
    coloured.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(pictures.read(tmp_path / "palette.png").values, np.asarray(coloured.convert("RGB")))
    coloured.save(tmp_path / "see-through.png", transparency=0)
    assert pictures.read(tmp_path / "see-through.png").alpha is not None
    bits = Image.fromarray(pixels(8, 8)).convert("1")
    bits.save(tmp_path / "bits.png")
    np.testing.assert_array_equal(pictures.read(tmp_path / "bits.png").values[..., 0], np.asarray(bits) * 255)


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


def encoded(image, kind="PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


WHOLE = encoded(Image.fromarray(pixels(50, 50, 3)))
FRAMES = [Image.fromarray(pixels(9, 9, 3)) for _ in range(2)]
BROKEN = {
    "text": (b"no picture at all", "not a PNG, JPEG"),
    "empty": (b"", "the file is empty"),
    "truncated": (WHOLE[: len(WHOLE) // 2], "truncated"),
    "damaged": (WHOLE[:60] + bytes(200) + WHOLE[260:], ""),
    "bomb": (bomb(), "decompression bomb"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a PNG, JPEG"),
    "animated": (encoded(FRAMES[0], save_all=True, append_images=FRAMES[1:]), "it holds 2 pictures"),
    "pages": (encoded(FRAMES[0], "TIFF", save_all=True, append_images=FRAMES[1:]), "it holds 2 pictures"),
    "cmyk": (encoded(Image.new("CMYK", (9, 9)), "JPEG"), "its colours are CMYK; convert it to RGB"),
    "floats": (encoded(Image.fromarray(np.ones((9, 9), np.float32)), "TIFF"), "floating-point"),
    "integers": (encoded(Image.fromarray(np.full((9, 9), -5, np.int32)), "TIFF"), "32-bit values from -5"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_picture_is_named_in_one_line(tmp_path, name):
    content, said = BROKEN[name]
    path = tmp_path / f"{name}.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"^{path}: .*{said}") as caught:
        pictures.read(path)
    assert "\n" not in str(caught.value)


def test_deep_pictures_that_are_cut_off_are_refused(tmp_path):
    content = cv2.imencode(".png", pixels(50, 50, 3, dtype=np.uint16))[1].tobytes()
    (tmp_path / "deep.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="truncated"):
        pictures.read(tmp_path / "deep.png")


def test_nothing_half_written_is_left(tmp_path):
    picture = pictures.Picture(pixels(9, 9, 1), None, "no such format", {})
    with pytest.raises(KeyError):
        pictures.write(tmp_path / "out.png", picture, picture.floats())
    assert not list(tmp_path.iterdir())


def test_folders_keep_their_shape_and_outputs_are_no_inputs(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "in" / "out"
    for name in ("a.png", "sub/a.JPG", "out/a.png", "notes.txt", ".hidden.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert pictures.find((folder,), out) == {
        folder / "a.png": out / "a.png",
        folder / "sub" / "a.JPG": out / "sub" / "a.JPG",
    }
    with pytest.raises(UserError, match="would both become"):
        pictures.find((folder, folder / "out" / "a.png"), out)
    with pytest.raises(UserError, match="there is no file or folder"):
        pictures.find((folder / "b.png",), out)
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="holds no picture"):
        pictures.find((tmp_path / "none",), out)
