"""Pictures in and out again: every kind, depth and mode, and what must not be carried over."""

import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from jaxae.data.pictures import files, reading
from jaxae.data.pictures.files import PictureFile
from jaxae.errors import UserError
from tests.data.pictures.tools import RANDOM, copy, encoded, only, pixels, smooth

ORIENTATION, MAKER, UNIT, X_RESOLUTION, Y_RESOLUTION, DATE = 0x0112, 0x010F, 296, 282, 283, 306


LOSSLESS = [".png", ".tiff", ".bmp", ".tga", ".jp2", ".qoi", ".sgi", ".ppm"]


@pytest.mark.parametrize("suffix", [*LOSSLESS, ".webp", ".jpg", ".avif"])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 3), (9, 7, 4), (9, 7, 2)])
def test_kind_depth_and_alpha_stay(tmp_path, suffix, shape):
    channels = shape[2] if len(shape) == 3 else 1
    without_alpha = (".bmp", ".jpg", ".ppm") + ((".sgi", ".qoi") if channels == 2 else ())
    if channels in (2, 4) and suffix in without_alpha:
        pytest.skip("has no alpha")
    if suffix not in reading.suffixes():
        pytest.skip("this Pillow does not read it")
    source, again = tmp_path / f"in{suffix}", tmp_path / "deep" / f"out{suffix}"
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    image = Image.fromarray(pixels(*shape))
    if channels == 1 and suffix == ".qoi":
        image = image.convert("RGB")
    (image.convert("RGBA") if suffix in (".webp", ".avif") and image.mode == "LA" else image).save(source, **options)
    copy(source, again)
    with Image.open(source) as before, Image.open(again) as after:
        assert (before.format, before.mode, before.size) == (after.format, after.mode, after.size)
        if suffix in LOSSLESS:
            np.testing.assert_array_equal(np.asarray(before), np.asarray(after))
        elif before.mode.endswith("A") and suffix == ".webp":
            np.testing.assert_array_equal(np.asarray(before)[..., -1], np.asarray(after)[..., -1])
    assert files.page_sizes(source) == [(9, 7)]


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".ppm"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_stay(tmp_path, suffix, channels):
    if suffix == ".ppm" and channels == 4:
        pytest.skip("has no alpha")
    values = pixels(6, 5, channels, dtype=np.uint16)
    if suffix == ".ppm" and channels == 1:
        suffix = ".pgm"
    source, again = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    cv2.imwrite(str(source), values)  # blue first, on both sides of the comparison
    picture = only(copy(source, again))
    assert picture.values.dtype == np.uint16
    if channels > 1:
        np.testing.assert_array_equal(picture.values, values[..., 2::-1])
    np.testing.assert_array_equal(cv2.imread(str(again), cv2.IMREAD_UNCHANGED).reshape(values.shape), values)


def test_sixteen_bit_colours_keep_their_profile_and_dates(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[DATE] = "2024:05:06 07:08:09"
    file = PictureFile([reading.Picture(pixels(6, 5, 3, dtype=np.uint16), None)], "PNG", {
        "icc_profile": profile, "exif": exif.tobytes(), "dpi": (300.0, 300.0),
    }, ())  # fmt: skip
    files.write_picture(tmp_path / "a.png", file, [file.pages[0].floats()])
    files.write_picture(tmp_path / "a.tif", file._replace(format="TIFF"), [file.pages[0].floats()])
    for name in ("a.png", "a.tif"):
        copy(tmp_path / name)
        with Image.open(tmp_path / f"copy-{name}") as image:
            assert image.info["icc_profile"] == profile
            assert image.getexif()[DATE] == "2024:05:06 07:08:09"
            if name == "a.png":
                assert image.info["dpi"] == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "tiff_adobe_deflate"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 8])
def test_a_picture_is_turned_upright_once(tmp_path, orientation, channels, suffix, compression, dtype):
    """Also where Pillow itself turns it, or maps the file into memory."""
    values = pixels(4, 6, channels, dtype=dtype)
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKER] = orientation, "maker"
    source = tmp_path / f"in{suffix}"
    if dtype == np.uint8 or channels == 1:
        options = {"compression": compression} if suffix == ".tif" else {}
        Image.fromarray(values.squeeze()).save(source, exif=exif, **options)
    elif suffix == ".tif":
        tags = [(ORIENTATION, "H", 1, orientation, True), (MAKER, "s", 0, "maker", True)]
        options = {"compression": "zlib" if compression else None, "extratags": tags, "metadata": None}
        options |= {"extrasamples": ["unassalpha"]} if channels == 4 else {}
        tifffile.imwrite(source, values, photometric="rgb", **options)
    else:
        file = PictureFile([], "PNG", {"exif": exif.tobytes()}, ())
        source.write_bytes(files._encode_deep(file, values))
    small = Image.new("L", (6, 4))
    small.putdata(range(24))
    small.getexif()[ORIENTATION] = orientation
    order = np.asarray(ImageOps.exif_transpose(small))
    picture = only(copy(source))
    shown = picture.values if channels < 4 else np.concatenate([picture.values, picture.alpha[..., None]], axis=-1)
    np.testing.assert_array_equal(shown, values.reshape(24, channels)[order])
    with Image.open(tmp_path / f"copy-{source.name}") as image:
        assert (image.height, image.width) == order.shape
        assert image.getexif().get(ORIENTATION, 1) == 1
        assert image.getexif()[MAKER] == "maker"
    again = only(files.read_picture(tmp_path / f"copy-{source.name}"))
    np.testing.assert_array_equal(again.values, picture.values)


def test_palettes_and_single_bits_become_what_they_show(tmp_path):
    coloured = Image.fromarray(pixels(8, 8, 3)).quantize(7)
    bits = Image.fromarray(pixels(8, 8)).convert("1")
    for suffix in ("png", "tif"):
        coloured.save(tmp_path / f"palette.{suffix}")
        bits.save(tmp_path / f"bits.{suffix}")
        shown = only(copy(tmp_path / f"palette.{suffix}")).values
        np.testing.assert_array_equal(shown, np.asarray(coloured.convert("RGB")))
        with Image.open(tmp_path / f"copy-palette.{suffix}") as image:
            assert image.mode == "RGB"
            np.testing.assert_array_equal(np.asarray(image), shown)
        np.testing.assert_array_equal(only(copy(tmp_path / f"bits.{suffix}")).values[..., 0], np.asarray(bits) * 255)
    coloured.save(tmp_path / "see-through.png", transparency=0)
    assert only(files.read_picture(tmp_path / "see-through.png")).alpha is not None


@pytest.mark.parametrize("mode", ["RGB", "YCbCr"])
@pytest.mark.parametrize("compression", ["jpeg", "tiff_adobe_deflate", "tiff_lzw", "packbits", None])
def test_a_tiff_of_any_storage_keeps_its_colours(tmp_path, mode, compression):
    values = smooth()
    image, exif = Image.fromarray(values).convert(mode), Image.Exif()
    exif[X_RESOLUTION], exif[Y_RESOLUTION], exif[UNIT], exif[DATE] = 300.0, 300.0, 2, "2024:05:06 07:08:09"
    image.save(tmp_path / "in.tif", exif=exif, **({"compression": compression} if compression else {}))
    copy(tmp_path / "in.tif")
    with Image.open(tmp_path / "copy-in.tif") as written:
        assert written.mode == "RGB"
        assert written.info["dpi"] == (300, 300)
        assert written.getexif()[DATE] == "2024:05:06 07:08:09"
        assert np.abs(np.asarray(written).astype(int) - values).mean() < 4


def test_what_an_exif_says_of_the_storage_stays_behind(tmp_path):
    exif = Image.Exif()
    exif[256], exif[257], exif[258], exif[262], exif[259], exif[277] = 5, 5, (16, 16), 6, 7, 2
    exif[MAKER], exif[0x8769], exif[0x8825] = "maker", {0x9003: "2024:05:06 07:08:09", 0xA002: 5}, {1: "N"}
    for name in ("a.jpg", "a.png", "a.webp"):
        Image.fromarray(smooth()).save(tmp_path / name, exif=exif)
        copy(tmp_path / name)
        with Image.open(tmp_path / f"copy-{name}") as image:
            kept = image.getexif()
            assert set(kept) == {MAKER, 0x8769, 0x8825}
            assert kept.get_ifd(0x8769) == {0x9003: "2024:05:06 07:08:09"}
            assert kept.get_ifd(0x8825) == {1: "N"}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_with_an_exif_block_keeps_it_where_it_can(tmp_path, dtype):
    exif = Image.Exif()
    exif[MAKER], exif[0x8769], exif[0x8825] = "maker", {0x9003: "2024:05:06 07:08:09"}, {1: "N"}
    for shape, deep in (((24, 36), False), ((24, 36, 3), dtype == np.uint16)):
        if deep:
            tags = [(MAKER, "s", 0, "maker", True), (40092, "B", 4, b"a\0b\0", True)]
            tifffile.imwrite(tmp_path / "a.tif", pixels(*shape, dtype=dtype), photometric="rgb", extratags=tags)
        else:
            Image.fromarray(pixels(*shape, dtype=dtype)).save(tmp_path / "a.tif", exif=exif.tobytes())
        file = copy(tmp_path / "a.tif")
        assert file.notes == (("EXIF other than texts and resolution is left out",) if deep else ())
        with Image.open(tmp_path / "copy-a.tif") as image:
            kept = image.getexif()
            assert kept[MAKER] == "maker"
            assert deep or kept.get_ifd(0x8769) == {0x9003: "2024:05:06 07:08:09"}
            assert deep or kept.get_ifd(0x8825) == {1: "N"}


def odd_exif(entries: list[tuple[int, int, bytes]]) -> bytes:
    """EXIF of entries (tag, type, four bytes), unchecked."""
    body = b"".join(struct.pack("<HHI", tag, kind, 4 if kind == 2 else 1) + value for tag, kind, value in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ((UNIT, 4, struct.pack("<I", 70_000)), "ResolutionUnit"),  # too large for what it is
        ((X_RESOLUTION, 2, b"300\0"), "XResolution"),  # a text
        ((ORIENTATION, 2, b"up!\0"), None),
        ((ORIENTATION, 3, struct.pack("<HH", 77, 0)), None),
    ],
)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_an_odd_exif_value_refuses_no_picture(tmp_path, entry, named, suffix):
    sound = (MAKER, 2, b"abc\0")
    entries = odd_exif(sorted([sound, entry], key=lambda one: one[0]))
    Image.fromarray(smooth()).save(tmp_path / f"a.{suffix}", exif=entries)
    file = copy(tmp_path / f"a.{suffix}")
    assert [note for note in file.notes if "odd" in note] == (
        [f"an odd EXIF value, {named}, is left out"] if named else []
    )
    with Image.open(tmp_path / f"copy-a.{suffix}") as image:
        assert dict(image.getexif()) == {MAKER: "abc"}


def test_exif_that_cannot_be_read_at_all_refuses_no_picture(tmp_path):
    content = encoded(Image.fromarray(smooth()), "PNG", exif=odd_exif([(MAKER, 2, b"abc\0")]))
    (tmp_path / "a.png").write_bytes(patched(content, b"eXIf", lambda data: b"II*\0\xff\xff\xff\x7f"))
    assert only(copy(tmp_path / "a.png")).values.shape == (24, 36, 3)


def patched(png: bytes, name: bytes, change) -> bytes:
    """`png` with the data of its chunk `name` changed."""
    at = png.index(name) - 4
    length = struct.unpack(">I", png[at : at + 4])[0]
    data = change(png[at + 8 : at + 8 + length])
    chunk = struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return png[:at] + chunk + png[at + 12 + length :]


@pytest.mark.parametrize("profile", [False, True])
def test_cmyk_becomes_rgb_and_says_so(tmp_path, profile):
    cmyk = Image.fromarray(smooth()).convert("CMYK")
    # no CMYK profile is at hand everywhere: one of another space cannot be used, and the plain formula serves
    options = {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()} if profile else {}
    for name in ("a.jpg", "a.tif"):
        cmyk.save(tmp_path / name, **options)
        file = copy(tmp_path / name)
        assert "CMYK becomes RGB" in file.notes
        with Image.open(tmp_path / f"copy-{name}") as image:
            assert image.mode == "RGB"
            assert "icc_profile" not in image.info
            assert np.abs(np.asarray(image).astype(int) - np.asarray(cmyk.convert("RGB"))).mean() < 5


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 3)])
def test_pages_stay_pages(tmp_path, shape, dtype):
    stack = [pixels(*shape, dtype=dtype) for _ in range(3)] + [pixels(5, *shape[1:], dtype=dtype)]
    with tifffile.TiffWriter(tmp_path / "stack.tif") as file:
        for page in stack:
            file.write(page, photometric="rgb" if len(shape) == 3 else "minisblack", contiguous=False)
    assert files.page_sizes(tmp_path / "stack.tif") == [(9, 7)] * 3 + [(5, 7)]
    assert [page.values.dtype for page in copy(tmp_path / "stack.tif").pages] == [dtype] * 4
    with tifffile.TiffFile(tmp_path / "copy-stack.tif") as file:
        assert len(file.pages) == 4
        for page, wanted in zip(file.pages, stack, strict=True):
            np.testing.assert_array_equal(page.asarray(), wanted)


def test_thumbnails_among_the_pages_are_left_out(tmp_path):
    whole, small = pixels(9, 7), pixels(3, 2)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(whole, contiguous=False)
        file.write(small, subfiletype=1, contiguous=False)
    file = copy(tmp_path / "a.tif")
    np.testing.assert_array_equal(only(file).values[..., 0], whole)
    assert file.notes == ("its thumbnails and masks are left out",)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 3), (9, 7, 4)])
def test_floating_point_values_stay(tmp_path, shape, dtype):
    values = RANDOM.random(shape).astype(dtype)
    options = {"photometric": "rgb"} if len(shape) == 3 else {}
    options |= {"extrasamples": ["unassalpha"]} if shape[-1] == 4 else {}
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    picture = only(copy(tmp_path / "a.tif"))
    np.testing.assert_array_equal(
        picture.floats().squeeze(), (values[..., :3] if len(shape) == 3 else values).astype(np.float32)
    )
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "copy-a.tif"), values.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_planes_apart_and_further_channels(tmp_path, dtype, compression):
    values = pixels(9, 7, 5, dtype=dtype)
    planes = np.ascontiguousarray(np.moveaxis(values, -1, 0))
    options = {"photometric": "rgb", "planarconfig": "separate", "compression": compression}
    tifffile.imwrite(tmp_path / "rgb.tif", planes[:3], **options)
    np.testing.assert_array_equal(only(copy(tmp_path / "rgb.tif")).values, values[..., :3])
    tifffile.imwrite(tmp_path / "more.tif", planes, extrasamples=["unspecified"] * 2, **options)
    file = copy(tmp_path / "more.tif")
    np.testing.assert_array_equal(only(file).values, values[..., :3])
    assert only(file).alpha is None
    assert file.notes == ("channels that are neither colour nor alpha are left out",)
    options["photometric"] = "minisblack"
    tifffile.imwrite(tmp_path / "grey.tif", planes, extrasamples=["unspecified"] * 4, **options)
    with pytest.raises(UserError, match=r"grey\.tif: 5 channels that are not RGB; give each a page of its own"):
        files.read_picture(tmp_path / "grey.tif")


def test_premultiplied_colours_become_plain(tmp_path):
    values, alpha = pixels(9, 7, 3, dtype=np.uint16), pixels(9, 7, 1, dtype=np.uint16) | 0x4000
    stored = np.concatenate([np.rint(values / 65535 * alpha).astype(np.uint16), alpha], axis=-1)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["assocalpha"])
    picture = only(copy(tmp_path / "a.tif"))
    np.testing.assert_allclose(picture.values.astype(int), values, atol=2)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_white_is_zero(tmp_path, dtype, compression):
    values = RANDOM.random((9, 7), np.float32) if dtype == np.float32 else pixels(9, 7, dtype=dtype)
    most = 1 if dtype == np.float32 else np.iinfo(dtype).max
    if compression == "lzw":
        if dtype != np.uint16:
            pytest.skip("Pillow inverts those as it writes")
        exif = Image.Exif()
        exif[262] = 0
        Image.fromarray(values).save(tmp_path / "a.tif", compression="tiff_lzw", exif=exif)
    else:
        tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite", compression=compression)
    shown = only(copy(tmp_path / "a.tif")).values[..., 0]
    np.testing.assert_array_equal(shown, most - values)
    np.testing.assert_array_equal(only(files.read_picture(tmp_path / "copy-a.tif")).values[..., 0], shown)


def test_twelve_bits_in_sixteen_are_hinted_at(tmp_path):
    Image.fromarray(pixels(9, 7, dtype=np.uint16) >> 4).save(tmp_path / "a.tif")
    assert copy(tmp_path / "a.tif").notes == (reading.DARK,)
    assert "no value is above 4,095 of 65,535" in reading.DARK
    Image.fromarray(pixels(9, 7, dtype=np.uint16)).save(tmp_path / "b.tif")
    assert copy(tmp_path / "b.tif").notes == ()


def test_a_picture_in_its_alpha_alone_is_hinted_at(tmp_path):
    values = pixels(9, 7, 2)
    values[..., 0] = 255
    Image.fromarray(values).save(tmp_path / "a.png")
    assert copy(tmp_path / "a.png").notes == ("all that is seen of it is in its alpha, which stays as it is",)


def test_a_write_that_fails_names_its_place_and_leaves_nothing(tmp_path, monkeypatch):
    file = PictureFile([reading.Picture(pixels(9, 9, 1), None)], "TIFF", {"exif": odd_exif([(UNIT, 2, b"abc\0")])}, ())
    with pytest.raises(UserError, match=f"^{tmp_path / 'out.tif'}: cannot be written: "):
        files.write_picture(tmp_path / "out.tif", file, [file.pages[0].floats()])
    file = file._replace(metadata={})
    monkeypatch.setattr(Image.Image, "save", lambda image, path, *_, **__: image.transpose(2).tobytes())
    with pytest.raises(UserError, match=r"out\.tif: cannot be written: "):
        files.write_picture(tmp_path / "out.tif", file, [file.pages[0].floats()])
    assert not list(tmp_path.iterdir())


def test_what_reads_back_otherwise_is_not_kept(tmp_path, monkeypatch):
    plain = files._encode
    file = PictureFile([reading.Picture(pixels(9, 9, 3), None)], "PNG", {}, ())
    for change in (lambda x: x[:5], lambda x: x[..., :1], lambda x: x // 2):
        monkeypatch.setattr(files, "_encode", lambda path, kind, xs, change=change: plain(path, kind, [change(xs[0])]))
        with pytest.raises(UserError, match=r"out\.png: cannot be written: read back"):
            files.write_picture(tmp_path / "out.png", file, [file.pages[0].floats()])
    assert not list(tmp_path.iterdir())
