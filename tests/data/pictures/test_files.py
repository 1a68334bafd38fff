"""Pictures in and out again: every format, depth and layout. Other readers than jaxae's read the output."""

import itertools
import re
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from jaxae.data.pictures import files, formats
from jaxae.data.pictures.files import PictureFile
from jaxae.data.pictures.picture import SPAN, Picture, Stored
from jaxae.errors import UserError
from tests.data.pictures.tools import RANDOM, chunk, copy, encoded, only, patched, pixels, png, smooth

ORIENTATION, MAKER, UNIT, X_RESOLUTION, ARTIST, DATE = 0x0112, 0x010F, 296, 282, 315, 306


def test_the_documents_name_the_formats_of_the_code():
    text = (Path(__file__).parents[3] / "docs" / "denoise.md").read_text()
    rows = re.findall(r"^\| ([\w, ]+) \(((?:`\.\w+`(?:, )?)+)\) \|", text, re.MULTILINE)
    assert [(name, tuple(re.findall(r"\.\w+", suffixes))) for name, suffixes in rows] == [
        (each.name, each.suffixes) for each in formats.FORMATS
    ]


LOSSLESS = [".png", ".tiff", ".bmp", ".webp"]


ALL = [*LOSSLESS, ".jpg", ".ppm"]
WITH_ALPHA = [".png", ".tiff", ".webp"]


@pytest.mark.parametrize(
    ("suffix", "shape"),
    [*itertools.product(ALL, [(9, 7), (9, 7, 3)]), *itertools.product(WITH_ALPHA, [(9, 7, 4), (9, 7, 2)])],
)
def test_format_depth_and_alpha_stay(tmp_path, suffix, shape):
    source, again = tmp_path / f"in{suffix}", tmp_path / "deep" / f"out{suffix}"
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    image = Image.fromarray(pixels(*shape))
    (image.convert("RGBA") if suffix == ".webp" and image.mode == "LA" else image).save(source, **options)
    copy(source, again)
    with Image.open(source) as before, Image.open(again) as after:
        assert (before.format, before.mode, before.size) == (after.format, after.mode, after.size)
        if suffix != ".jpg":
            np.testing.assert_array_equal(np.asarray(before), np.asarray(after))


@pytest.mark.parametrize(
    ("suffix", "channels"), [*itertools.product([".png", ".tiff"], [1, 3, 4]), (".pgm", 1), (".ppm", 3)]
)
def test_sixteen_bits_stay(tmp_path, suffix, channels):
    values = pixels(6, 5, channels, dtype=np.uint16)
    source, again = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    cv2.imwrite(str(source), values)  # blue first, on both sides of the comparison; TIFFs are compressed by LZW
    picture = only(copy(source, again))
    assert picture.values.dtype == np.uint16
    if channels > 1:
        np.testing.assert_array_equal(picture.values, values[..., 2::-1])
    np.testing.assert_array_equal(cv2.imread(str(again), cv2.IMREAD_UNCHANGED).reshape(values.shape), values)


TYPES = ["int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32", "float64"]


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_of_number_stays(tmp_path, dtype):
    values = (RANDOM.random((9, 7)) * 100 - (0 if dtype[0] == "u" else 40)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values)
    np.save(tmp_path / "a.npy", values)
    np.savez_compressed(tmp_path / "a.npz", one=values, two=values[:5])
    for suffix, read in ((".tif", tifffile.imread), (".npy", np.load), (".npz", lambda path: np.load(path)["one"])):
        file = copy(tmp_path / f"a{suffix}")
        assert file.notes == (SPAN,)
        written = read(tmp_path / f"copy-a{suffix}")
        assert written.dtype == dtype
        np.testing.assert_allclose(written, values, rtol=0, atol=0 if np.dtype(dtype).kind in "iu" else 1e-4)
    assert np.load(tmp_path / "copy-a.npz")["two"].shape == (5, 7)


def test_arrays_keep_their_shape(tmp_path):
    for shape, pages in (((9, 7, 3), 1), ((4, 9, 7), 4), ((2, 4, 9, 7, 3), 8), ((9, 7, 1), 1)):
        np.save(tmp_path / "a.npy", pixels(*shape))
        assert len(copy(tmp_path / "a.npy").pages) == pages
        np.testing.assert_array_equal(np.load(tmp_path / "copy-a.npy"), np.load(tmp_path / "a.npy"))
    for array in (pixels(9, 7, dtype=np.uint16).astype(">u2"), np.asfortranarray(pixels(4, 9, 7, 3))):
        np.save(tmp_path / "a.npy", array)
        copy(tmp_path / "a.npy")
        again = np.load(tmp_path / "copy-a.npy")
        assert again.dtype == array.dtype
        np.testing.assert_array_equal(again, array)
    for array, says in ((pixels(9, 7, 4), r"shape \(9, 7, 4\)"), (pixels(9), r"shape \(9,\)"), (np.eye(3) > 0, "bool")):
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(UserError, match=says):
            files.read_picture(tmp_path / "a.npy")


def test_netpbm_of_any_highest_value(tmp_path):
    for most, channels in ((1023, 3), (1023, 1), (15, 1)):
        values = RANDOM.integers(0, most + 1, (4, 6, channels)).astype(">u2" if most > 255 else "u1")
        header = f"P{5 if channels == 1 else 6}\n# by hand\n6 4 {most}\n".encode()
        (tmp_path / "a.ppm").write_bytes(header + values.tobytes())
        file = copy(tmp_path / "a.ppm")
        assert only(file).value_range == (0, most)
        assert (tmp_path / "copy-a.ppm").read_bytes() == header + values.tobytes()


def test_a_palette_single_bits_and_few_bits_become_what_they_show(tmp_path):
    coloured = Image.fromarray(pixels(8, 8, 3)).quantize(7)
    bits = Image.fromarray(pixels(8, 8)).convert("1")
    for suffix in ("png", "tif"):
        coloured.save(tmp_path / f"palette.{suffix}")
        bits.save(tmp_path / f"bits.{suffix}")
        copy(tmp_path / f"palette.{suffix}")
        with Image.open(tmp_path / f"copy-palette.{suffix}") as image:
            assert image.mode == "RGB"
            np.testing.assert_array_equal(np.asarray(image), np.asarray(coloured.convert("RGB")))
        np.testing.assert_array_equal(only(copy(tmp_path / f"bits.{suffix}")).values[..., 0], np.asarray(bits) * 255)
    coloured.save(tmp_path / "see-through.png", transparency=0)
    assert only(files.read_picture(tmp_path / "see-through.png")).alpha is not None


@pytest.mark.parametrize(("depth", "dtype"), [(4, np.uint8), (8, np.uint8), (16, np.uint16)])
def test_the_transparent_grey_of_a_png_stays_transparent(tmp_path, depth, dtype):
    values = np.arange(24, dtype=dtype).reshape(4, 6) % 16
    stored = values[:, ::2] << 4 | values[:, 1::2] if depth == 4 else values
    (tmp_path / "a.png").write_bytes(png(stored, 0, depth, chunk(b"tRNS", struct.pack(">H", 5))))
    copy(tmp_path / "a.png")
    read = cv2.imread(str(tmp_path / "copy-a.png"), cv2.IMREAD_UNCHANGED)
    assert read.dtype == dtype
    np.testing.assert_array_equal(read[..., -1] == 0, values == 5)
    np.testing.assert_array_equal(read[..., 0], values * (17 if depth == 4 else 1))


def test_the_transparent_colour_of_a_deep_png_stays_transparent(tmp_path):
    values = pixels(4, 6, 3, dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(png(values, 2, 16, chunk(b"tRNS", struct.pack(">3H", *values[0, 0].tolist()))))
    copy(tmp_path / "a.png")
    read = cv2.imread(str(tmp_path / "copy-a.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read[..., 2::-1], values)
    assert read[0, 0, 3] == 0
    assert (read[..., 3] == 0).sum() == 1


CHUNKS = (
    chunk(b"gAMA", struct.pack(">I", 45_455)),
    chunk(b"cICP", bytes((9, 16, 0, 1))),  # PQ
    chunk(b"pHYs", struct.pack(">IIB", 11_811, 11_811, 1)),
    chunk(b"tEXt", b"Comment\0a text"),
    chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x:xmpmeta>J\xc3\xbcrgen</x:xmpmeta>"),
)


@pytest.mark.parametrize(("depth", "dtype"), [(8, np.uint8), (16, np.uint16)])
def test_the_chunks_of_a_png_are_copied(tmp_path, depth, dtype):
    content = png(pixels(4, 6, 3, dtype=dtype), 2, depth, *CHUNKS, chunk(b"prVt", b"?"))
    (tmp_path / "a.png").write_bytes(content)
    file = copy(tmp_path / "a.png")
    assert file.losses == ("not carried over: PNG's prVt",)
    written = (tmp_path / "copy-a.png").read_bytes()
    assert all(each in written for each in CHUNKS)
    with Image.open(tmp_path / "copy-a.png") as image:
        assert image.text["Comment"] == "a text"
        assert "Jürgen" in image.text["XML:com.adobe.xmp"]
        assert image.info["gamma"] == pytest.approx(0.45455)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_metadata_is_copied_byte_by_byte(tmp_path, suffix):
    artist = "Jürgen µ".encode()
    entry = struct.pack("<HHI", ARTIST, 2, len(artist) + 1) + struct.pack("<I", 26)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4) + artist + b"\0"
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>stars</x:xmpmeta>"
    path = tmp_path / f"a.{suffix}"
    if suffix == "tif":
        tags = [(ARTIST, 2, len(artist) + 1, artist + b"\0", True), (700, 1, len(xmp), xmp, True)]
        tifffile.imwrite(path, smooth(), photometric="rgb", extratags=tags, metadata=None, resolution=(300, 300))
    else:
        options = {"dpi": (300, 300)} | ({"xmp": xmp} if suffix != "png" else {})
        Image.fromarray(smooth()).save(path, exif=exif, icc_profile=b"a profile", **options)
    assert copy(path).losses == ()
    written = (tmp_path / f"copy-a.{suffix}").read_bytes()
    assert artist in written
    assert suffix == "png" or xmp in written
    with Image.open(tmp_path / f"copy-a.{suffix}") as image:
        assert suffix in ("tif",) or image.info["icc_profile"] == b"a profile"
        assert suffix == "webp" or image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def odd_exif(entries: list[tuple[int, int, bytes]]) -> bytes:
    """EXIF of entries (tag, type, four bytes), unchecked."""
    body = b"".join(struct.pack("<HHI", tag, kind, 4 if kind == 2 else 1) + value for tag, kind, value in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)


@pytest.mark.parametrize(
    "entry",
    [
        (UNIT, 4, struct.pack("<I", 70_000)),  # too large for what it is
        (X_RESOLUTION, 2, b"300\0"),  # a text
        (ORIENTATION, 2, b"up!\0"),
        (ORIENTATION, 3, struct.pack("<HH", 77, 0)),
    ],
)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_an_odd_exif_value_refuses_no_picture_and_stays(tmp_path, entry, suffix):
    entries = odd_exif(sorted([(MAKER, 2, b"abc\0"), entry], key=lambda one: one[0]))
    Image.fromarray(smooth()).save(tmp_path / f"a.{suffix}", exif=entries)
    copy(tmp_path / f"a.{suffix}")
    assert entries[6:] in (tmp_path / f"copy-a.{suffix}").read_bytes()


def test_exif_that_cannot_be_read_at_all_refuses_no_picture(tmp_path):
    content = encoded(Image.fromarray(smooth()), "PNG", exif=odd_exif([(MAKER, 2, b"abc\0")]))
    (tmp_path / "a.png").write_bytes(patched(content, b"eXIf", lambda data: b"II*\0\xff\xff\xff\x7f"))
    assert only(copy(tmp_path / "a.png")).values.shape == (24, 36, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "tiff_adobe_deflate", "tiff_lzw"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 7, 8])
def test_a_picture_is_turned_upright_and_stored_as_it_was(tmp_path, orientation, channels, suffix, compression, dtype):
    """Also where Pillow and OpenCV turn it themselves."""
    values = pixels(4, 6, channels, dtype=dtype)
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKER] = orientation, "maker"
    source = tmp_path / f"in{suffix}"
    if dtype == np.uint8 or channels == 1:
        options = {"compression": compression} if suffix == ".tif" and compression else {}
        Image.fromarray(values.squeeze()).save(source, exif=exif, **options)
    elif suffix == ".tif":
        tags = [(ORIENTATION, "H", 1, orientation, True), (MAKER, "s", 0, "maker", True)]
        options = {"compression": "zlib" if compression else None, "extratags": tags, "metadata": None}
        tifffile.imwrite(source, values, photometric="rgb", **options)
    else:
        source.write_bytes(png(values, 2, 16, chunk(b"eXIf", exif.tobytes()[6:])))
    small = Image.new("L", (6, 4))
    small.putdata(range(24))
    small.getexif()[ORIENTATION] = orientation
    order = np.asarray(ImageOps.exif_transpose(small))
    np.testing.assert_array_equal(only(copy(source)).values, values.reshape(24, channels)[order])
    written = tmp_path / f"copy-{source.name}"
    with Image.open(written) as image:
        assert image.getexif()[MAKER] == "maker"
        if suffix == ".png":
            assert image.getexif()[ORIENTATION] == orientation
            stored = cv2.imread(str(written), cv2.IMREAD_UNCHANGED)
            stored = stored[..., ::-1] if channels == 3 else stored
    if suffix == ".tif":
        with tifffile.TiffFile(written) as again:
            assert again.pages[0].tags.valueof(ORIENTATION, default=1) == orientation
            stored = again.asarray()
    np.testing.assert_array_equal(stored.reshape(values.shape), values)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_a_turned_picture_looks_as_before_to_programs_that_turn_it_and_to_others(tmp_path, suffix):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(smooth(24, 36)).save(tmp_path / f"a.{suffix}", exif=exif)
    assert only(copy(tmp_path / f"a.{suffix}")).values.shape == (36, 24, 3)  # upright for the network
    for show in (Image.Image.copy, ImageOps.exif_transpose):
        with Image.open(tmp_path / f"a.{suffix}") as before, Image.open(tmp_path / f"copy-a.{suffix}") as after:
            shown, again = (np.asarray(show(image), int) for image in (before, after))
        assert shown.shape == again.shape
        assert np.abs(shown - again).mean() < 4


@pytest.mark.parametrize(
    ("mode", "compression"),
    [
        *itertools.product(["RGB", "YCbCr", "RGBA", "LA"], ["tiff_adobe_deflate", "tiff_lzw", "packbits", None]),
        *itertools.product(["RGB", "YCbCr"], ["jpeg"]),
    ],
)
def test_a_tiff_of_any_storage_keeps_its_colours(tmp_path, mode, compression):
    image, exif = Image.fromarray(smooth()).convert(mode), Image.Exif()
    exif[DATE] = "2024:05:06 07:08:09"
    shown = np.asarray(image.convert("RGB") if mode == "YCbCr" else image)
    image.save(tmp_path / "in.tif", exif=exif, **({"compression": compression} if compression else {}))
    copy(tmp_path / "in.tif")
    with Image.open(tmp_path / "copy-in.tif") as written:
        assert written.getexif()[DATE] == "2024:05:06 07:08:09"
        assert np.abs(np.asarray(written).astype(int) - shown).mean() < 4


@pytest.mark.parametrize(
    ("dtype", "compression"),
    [
        *itertools.product([np.uint8, np.uint16, np.float32], [None, "zlib"]),
        *itertools.product([np.uint8, np.uint16], ["lzw"]),
    ],
)
def test_white_is_zero(tmp_path, dtype, compression):
    values = RANDOM.random((9, 7), np.float32) if dtype == np.float32 else pixels(9, 7, dtype=dtype)
    if compression == "lzw":
        exif = Image.Exif()
        exif[262] = 0
        Image.fromarray(values).save(tmp_path / "a.tif", compression="tiff_lzw", exif=exif)  # which inverts 8 bits
    else:
        tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite", compression=compression)
    shown = only(copy(tmp_path / "a.tif")).floats()[..., 0]
    dark = (
        (values - values.min()) / np.ptp(values) if dtype == np.uint16 else values / (255 if dtype == np.uint8 else 1)
    )
    np.testing.assert_allclose(shown, dark if compression == "lzw" and dtype == np.uint8 else 1 - dark, atol=1e-6)
    stored = 255 - values if compression == "lzw" and dtype == np.uint8 else values
    with tifffile.TiffFile(tmp_path / "copy-a.tif") as again:
        assert again.pages[0].photometric == 0
        np.testing.assert_allclose(again.pages[0].asarray(), stored, atol=0 if dtype != np.float32 else 1e-6)


def axes_of(path):
    with tifffile.TiffFile(path) as file:
        return file.series[0].axes, file.series[0].shape, file.imagej_metadata, file.pages[0].description


def in_one_directory(path, values, axes):
    """As ImageJ writes stacks of more than 4 GB."""
    with tifffile.TiffWriter(path, imagej=axes == "ZYX") as file:
        file.write(values, metadata={"axes": axes}, truncate=True)
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == 1


@pytest.mark.parametrize("kind", ["imagej", "imagej in one directory", "shaped", "shaped in one directory", "ome"])
def test_stacks_keep_planes_and_axes(tmp_path, kind):
    values = pixels(5, 9, 7, dtype=np.uint16) if "imagej" in kind else pixels(2, 5, 6, 9, 7, dtype=np.uint16)
    path = tmp_path / ("a.ome.tif" if kind == "ome" else "a.tif")
    ranges = [3.0, 900.0, 0.0, 800.0]
    imagej = {
        "axes": "ZYX",
        "unit": "\\u00B5m",
        "Labels": list("abcde"),
        "Info": "hello",
        "Ranges": ranges,
        "Overlays": [b"roi"],
    }
    imagej |= {"LUTs": [np.arange(768, dtype=np.uint8).reshape(3, 256)], "spacing": 0.5}
    if kind == "imagej":
        tifffile.imwrite(path, values, imagej=True, metadata=imagej, resolution=(2, 3))
    elif "one directory" in kind:
        in_one_directory(path, values, "ZYX" if "imagej" in kind else "TZCYX")
    else:
        options = {"ome": True} if kind == "ome" else {}
        tifffile.imwrite(path, values, metadata={"axes": "TZCYX", "PhysicalSizeXUnit": "µm"}, **options)
    assert copy(path).losses == ()
    written = path.with_name(f"copy-{path.name}")
    np.testing.assert_array_equal(tifffile.imread(written), values)
    before, after = axes_of(path), axes_of(written)
    assert before[:2] == after[:2]
    assert before[3] == after[3]
    assert (before[2] or {}).keys() == (after[2] or {}).keys()
    if kind == "imagej":
        assert {"Labels", "Info", "Ranges", "Overlays", "LUTs"} <= after[2].keys()
    if kind == "ome":
        assert "µm".encode() in written.read_bytes()


def test_pages_of_several_sizes_stay_apart_and_thumbnails_are_said_to_be_lost(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for size in (9, 5, 9):
            file.write(pixels(size, 7, 3), photometric="rgb")
        file.write(pixels(3, 3, 3), photometric="rgb", subfiletype=1)
    assert copy(tmp_path / "a.tif").losses == (
        "not carried over: reduced copies (thumbnails, pyramid levels) and masks",
    )
    with tifffile.TiffFile(tmp_path / "a.tif") as before, tifffile.TiffFile(tmp_path / "copy-a.tif") as after:
        for one, other in zip(list(before.pages)[:3], after.pages, strict=True):
            np.testing.assert_array_equal(one.asarray(), other.asarray())
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        file.write(pixels(32, 32), subifds=1)
        file.write(pixels(16, 16), subfiletype=1)
    assert copy(tmp_path / "b.tif").losses == copy(tmp_path / "a.tif").losses


def test_separate_planes_are_joined(tmp_path):
    values = pixels(3, 9, 7, dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(only(copy(tmp_path / "a.tif")).values, np.moveaxis(values, 0, -1))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "copy-a.tif"), np.moveaxis(values, 0, -1))


def test_exif_and_gps_of_a_tiff_are_said_to_be_lost(tmp_path):
    exif = Image.Exif()
    exif[MAKER], exif[0x8769] = "maker", {0x9003: "2024:05:06 07:08:09"}
    Image.fromarray(pixels(9, 7)).save(tmp_path / "a.tif", exif=exif.tobytes())
    assert copy(tmp_path / "a.tif").losses == (
        "not carried over: the EXIF and GPS blocks of a TIFF; its other tags are",
    )
    with Image.open(tmp_path / "copy-a.tif") as image:
        assert image.getexif()[MAKER] == "maker"


def jpeg(*segments: bytes, behind: bytes = b"", **options) -> bytes:
    content = encoded(Image.fromarray(smooth()), "JPEG", **options)
    marked = b"".join(b"\xff" + each[:1] + struct.pack(">H", len(each) + 1) + each[1:] for each in segments)
    return content[:2] + marked + content[2:] + behind


def mpo(*images, types=()) -> bytes:
    content = bytearray(encoded(images[0], "MPO", save_all=True, append_images=list(images[1:])))
    for number, kind in enumerate(types):  # of each entry: attributes, size, offset, two more
        start = content.index(b"MPF\0") + 4
        at = content.index(struct.pack("<HHI", 0xB002, 7, 16 * len(images)), start) + 8
        at = start + int.from_bytes(content[at : at + 4], "little") + 16 * number
        content[at : at + 4] = struct.pack("<I", kind)
    return bytes(content)


HDR = b"\xe1http://ns.adobe.com/xap/1.0/\0<x:xmpmeta hdrgm:Version='1.0'/>"


@pytest.mark.parametrize(
    ("content", "lost"),
    [
        (jpeg(b"\xebJP a store of its own"), ["APP11"]),
        (jpeg(behind=b"\0\0\0\x18ftypmp42 a video"), ["data behind the picture, such as the video of a motion photo"]),
        (jpeg(HDR), ["XMP about further data in the file"]),
        (mpo(*[Image.fromarray(smooth())] * 2), ["further pictures in it, such as gain maps and previews"]),
        (jpeg(comment=b"kept"), []),
    ],
)
def test_what_a_jpeg_has_beside_its_picture_is_said_to_be_lost(tmp_path, content, lost):
    (tmp_path / "a.jpg").write_bytes(content)
    assert list(copy(tmp_path / "a.jpg").losses) == [f"not carried over: {each}" for each in lost]
    written = (tmp_path / "copy-a.jpg").read_bytes()
    assert written.endswith(b"\xff\xd9")
    assert b"hdrgm" not in written
    assert (b"kept" in written) == (b"kept" in content)


def test_heic(tmp_path, monkeypatch):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x1cftypheix" + bytes(40))
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(UserError, match=r"a\.heic: HEIC needs the package pillow-heif: pip install -e '\.\[heic\]'"):
        files.read_picture(tmp_path / "a.heic")


def test_heic_stays_heic(tmp_path):
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed: pip install -e '.[test]'")
    heif.register_heif_opener()
    exif = Image.Exif()
    exif[MAKER], exif[ORIENTATION] = "maker", 6  # of which HEIC makes a transformation that decoders apply
    Image.fromarray(smooth(64, 96)).save(tmp_path / "a.heic", exif=exif, quality=95)
    copy(tmp_path / "a.heic")
    with Image.open(tmp_path / "a.heic") as before, Image.open(tmp_path / "copy-a.heic") as after:
        assert after.getexif()[MAKER] == "maker"
        assert before.size == after.size
        assert before.getexif()[ORIENTATION] == after.getexif()[ORIENTATION] == 1
        assert np.abs(np.asarray(before).astype(int) - np.asarray(after)).mean() < 4


def test_a_picture_in_its_alpha_alone_is_hinted_at(tmp_path):
    values = pixels(9, 7, 2)
    values[..., 0] = 255
    Image.fromarray(values).save(tmp_path / "a.png")
    assert copy(tmp_path / "a.png").losses == ("all that is seen of it is in its alpha, which stays as it is",)


def test_a_long_name_is_written(tmp_path):
    name = "ä" * 123 + ".png"  # of 250 bytes
    Image.fromarray(pixels(9, 7)).save(tmp_path / "a.png")
    copy(tmp_path / "a.png", tmp_path / name)
    assert (tmp_path / name).is_file()


@pytest.fixture
def file():
    png_format = next(each for each in formats.FORMATS if each.name == "PNG")
    values = pixels(9, 9, 3)
    return PictureFile([Picture(values, None)], png_format, Stored([values], 1, b""))


def test_a_write_that_fails_names_its_place_and_leaves_nothing(tmp_path, file):
    def fail(path, stored):
        raise RuntimeError("no such thing")

    with pytest.raises(UserError, match=f"^{tmp_path / 'out.png'}: cannot be written: no such thing"):
        files.write_picture(
            tmp_path / "out.png", file._replace(format=file.format._replace(write=fail)), [file.pages[0].floats()]
        )
    assert not list(tmp_path.iterdir())


def test_what_reads_back_otherwise_is_not_kept(tmp_path, file):
    write = file.format.write
    for change in (lambda x: x[:5], lambda x: x[..., :1], lambda x: x // 2, lambda x: x.astype(np.uint16)):
        other = file.format._replace(
            write=lambda path, stored, change=change: write(path, stored._replace(arrays=[change(stored.arrays[0])]))
        )
        with pytest.raises(UserError, match=r"out\.png: cannot be written: read back"):
            files.write_picture(tmp_path / "out.png", file._replace(format=other), [file.pages[0].floats()])
    assert not list(tmp_path.iterdir())
