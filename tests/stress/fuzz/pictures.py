"""Pictures of every format, stacks of pages, and names as file systems have them."""

import io
import os
import shutil
import warnings
from pathlib import Path

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jaxae import data as data_sets
from jaxae.data.pictures import files
from jaxae.data.pictures.files import PictureFile
from jaxae.denoising import __main__ as denoise
from tests.data.loading import load
from tests.stress.fuzz.bench import Bench, cases, damage

SUFFIXES = {"png": "png", "jpg": "jpeg", "webp": "webp", "bmp": "bmp", "tif": "tiff", "ppm": "ppm"}
MODES = {
    "png": ("L", "RGB", "RGBA", "P", "1", "I;16", "LA"),
    "tif": ("L", "RGB", "RGBA", "P", "1", "I;16", "F", "CMYK"),
}
MODES |= {"jpg": ("L", "RGB", "CMYK"), "webp": ("RGB", "RGBA"), "bmp": ("L", "RGB"), "ppm": ("RGB",)}

SHAPE = (28, 28, 1)


def encoded(suffix: str, mode: str) -> bytes:
    """A small picture."""
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(pixels[..., 0].astype(np.float32) / 255)
    else:
        image = Image.fromarray(pixels).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, SUFFIXES[suffix])
    return buffer.getvalue()


def denoised(bench: Bench, inputs: Path, out: Path) -> None:
    """Run `denoise` on a folder: whatever it says it has written opens, and is what it was given."""
    shutil.rmtree(out, ignore_errors=True)
    status, err = bench.run(denoise.main, bench.trained, inputs, "--out", out, errors=len(os.listdir(inputs)))
    written = sorted(path for path in out.rglob("*") if path.is_file()) if out.exists() else []
    assert status == 2 or written, err
    for path in written:
        check_output(files.read_picture(inputs / path.relative_to(out)), path)


def check_output(given: PictureFile, path: Path) -> None:
    """Assert that another program than jaxae, which wrote the file, reads from it what jaxae has read of the input."""
    content = path.read_bytes()
    if given.format.name in ("NumPy array", "NumPy archive"):
        found = np.load(io.BytesIO(content), allow_pickle=False)
        arrays = [found] if isinstance(found, np.ndarray) else list(found.values())
        dtypes, found = {array.dtype for array in arrays}, np.concatenate([array.ravel() for array in arrays])
        assert dtypes == {given.stored.arrays[0].dtype}
        assert_alike(found, np.concatenate([array.ravel() for array in given.stored.arrays]), given)
        return
    pages = read_elsewhere(given, content)
    assert [page.shape for page in pages] == [array.shape for array in given.stored.arrays]
    for page, array in zip(pages, given.stored.arrays, strict=True):
        assert page.dtype == array.dtype
        if not given.format.is_lossy:
            assert_alike(page, array, given)


def assert_alike(found: np.ndarray, wanted: np.ndarray, given: PictureFile) -> None:
    """Assert that whole numbers are equal; others, and those beyond float32, to 6 digits of the largest in the file."""
    largest = max(np.abs(array.astype(np.float64)).max(initial=0) for array in given.stored.arrays)
    most = 0 if wanted.dtype.kind in "iu" and largest < 2**24 else 1e-6 * largest
    np.testing.assert_allclose(found.astype(np.float64), wanted.astype(np.float64), rtol=0, atol=most)


def read_elsewhere(given: PictureFile, content: bytes) -> list[np.ndarray]:
    """The pages of an output, [height, width, channels], read by a program that did not write it, if there is one."""
    import tifffile
    from PIL import Image, ImageSequence

    stored = given.stored
    if given.format.name == "TIFF" and (stored.inverted or stored.extras[2][0][1]["planarconfig"] == "separate"):
        with tifffile.TiffFile(io.BytesIO(content)) as file:  # OpenCV mixes up separate planes
            pages = [page.asarray() for page in file.pages]
        return [
            page.reshape(array.shape) if array.shape[2] == 1 else np.moveaxis(page, 0, -1)
            for page, array in zip(pages, stored.arrays, strict=True)
        ]
    if given.format.name == "TIFF" and stored.arrays[0].dtype == np.uint8:
        with Image.open(io.BytesIO(content)) as image:
            return [np.atleast_3d(np.asarray(page)) for page in ImageSequence.Iterator(image)]
    done, pages = cv2.imdecodemulti(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert done, "another program cannot read it"
    order = {1: [0], 2: [0, -1], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[stored.arrays[0].shape[2]]  # blue comes first
    return [np.atleast_3d(page)[..., order] for page in pages]


def read_as_data(bench: Bench, inputs: Path) -> None:
    """Read a folder as a data set."""
    images = bench.read(load, f"folder:{inputs}", "train", image_shape=SHAPE)
    assert images is None or images.shape[1:] == SHAPE


def read_as_pairs(bench: Bench, noisy: Path, clean: Path) -> None:
    """Read two folders as a data set of pairs."""

    def read() -> data_sets.Images:
        return data_sets.open(f"pairs:{noisy},{clean}", image_shape=SHAPE).load("train")

    images = bench.read(read)
    assert images is None or images.clean.shape == images.noisy.shape == (images.count, *SHAPE)


def images(bench: Bench, count: int) -> None:
    """Three pictures, some damaged, as a data set, through `denoise`, and as pairs with three others."""
    good = {(suffix, mode): encoded(suffix, mode) for suffix, modes in MODES.items() for mode in modes}
    with bench.kind("image files") as own:

        @cases(count)
        @given(st.data())
        def check(data):
            shutil.rmtree(own / "in", ignore_errors=True)
            (own / "in").mkdir()
            for number in range(3):
                suffix, mode = data.draw(st.sampled_from(sorted(good)))
                content = data.draw(st.just(good[suffix, mode]) | damage(good[suffix, mode]))
                (own / "in" / f"{number}.{suffix}").write_bytes(content)
            read_as_data(bench, own / "in")
            denoised(bench, own / "in", own / "out")
            shutil.rmtree(own / "clean", ignore_errors=True)
            (own / "clean").mkdir()
            for number in range(3):
                content = data.draw(st.just(good["png", "RGB"]) | damage(good["png", "RGB"]))
                name = data.draw(st.sampled_from([f"{number}.png", f"{number}_gt.png", f"clean_{number}.png", "x.png"]))
                (own / "clean" / name).write_bytes(content)
            read_as_pairs(bench, own / "in", own / "clean")

        check()


@st.composite
def stacks(draw) -> bytes:
    """A TIFF of some pages, as scientific cameras write them."""
    import tifffile

    dtype = draw(st.sampled_from([np.uint8, np.uint16, np.float32, np.float64, np.int16, np.uint32]))
    pages, channels = draw(st.integers(1, 4)), draw(st.sampled_from([1, 3, 4, 5]))
    values = np.random.default_rng(draw(st.integers(0, 9))).random((pages, 20, 24, channels))
    array = values.astype(dtype) if np.issubdtype(dtype, np.floating) else (values * 200).astype(dtype)
    if draw(st.integers(0, 9)) == 0:
        array[0, 0, 0] = draw(st.sampled_from([0, 1, 100]))
    planar = draw(st.booleans()) and channels > 1
    options = {"compression": draw(st.sampled_from([None, "zlib"]))}
    if draw(st.booleans()) and not planar:
        options["tile"] = (16, 16)
    if planar:
        array, options["planarconfig"] = np.moveaxis(array, -1, 1), "separate"
    elif channels == 1:
        array = array[..., 0]
    photometric = "rgb" if channels in (3, 4) else "minisblack"
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, photometric=photometric, bigtiff=draw(st.booleans()), **options)
    return buffer.getvalue()


def tiff_stacks(bench: Bench, count: int) -> None:
    """Stacks of pages, some damaged, as a data set and through `denoise`."""
    with bench.kind("TIFF stacks") as own:

        @cases(count)
        @given(st.data())
        def check(data):
            shutil.rmtree(own / "in", ignore_errors=True)
            (own / "in").mkdir()
            for number in range(2):
                content = data.draw(stacks())
                (own / "in" / f"{number}.tif").write_bytes(data.draw(st.just(content) | damage(content)))
            read_as_data(bench, own / "in")
            denoised(bench, own / "in", own / "out")

        check()


NUMBERS = ["<u2", ">u2", "|u1", "|i1", ">i4", "<f4", ">f8", "<f2", "<c8", "|b1", "|O", "<U3"]
SAVES = [("npy", np.save), ("npz", np.savez), ("npz", np.savez_compressed)]
SHAPES = [(20, 24), (20, 24, 3), (20, 24, 1), (3, 20, 24), (2, 20, 24, 3), (1, 90), (20, 24, 4), (9,), (0, 7), ()]


@st.composite
def arrays(draw) -> np.ndarray:
    """An array that may hold a picture, in any order of bytes and of axes in memory."""
    values = np.random.default_rng(draw(st.integers(0, 9))).random(draw(st.sampled_from(SHAPES))) * 100
    dtype = np.dtype(draw(st.sampled_from(NUMBERS)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = np.asarray(values - (40 if dtype.kind in "if" else 0)).astype(dtype)
    if draw(st.integers(0, 9)) == 0 and dtype.kind == "f":
        array.flat[:1] = draw(st.sampled_from([np.nan, np.inf]))
    return np.asfortranarray(array) if draw(st.booleans()) else array


def arrays_as_files(bench: Bench, count: int) -> None:
    """Arrays in .npy and .npz files, some damaged, as a data set and through `denoise`."""
    with bench.kind("arrays as files") as own:

        @cases(count)
        @given(st.data())
        def check(data):
            shutil.rmtree(own / "in", ignore_errors=True)
            (own / "in").mkdir()
            for number in range(2):
                buffer, array = io.BytesIO(), data.draw(arrays())
                suffix, save = data.draw(
                    st.sampled_from([("npy", np.save), ("npz", np.savez), ("npz", np.savez_compressed)])
                )
                save(buffer, array, allow_pickle=True)
                content = data.draw(st.just(buffer.getvalue()) | damage(buffer.getvalue()))
                (own / "in" / f"{number}.{suffix}").write_bytes(content)
            read_as_data(bench, own / "in")
            denoised(bench, own / "in", own / "out")

        check()


def names(bench: Bench, count: int) -> None:
    """Names of any bytes that a file system takes, UTF-8 or not."""
    content = encoded("png", "L")
    name = st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name and b"/" not in name)
    with bench.kind("names that are not UTF-8") as own:

        @cases(count)
        @given(st.lists(name, min_size=2, max_size=3, unique=True))
        def check(raw):
            shutil.rmtree(own / "in", ignore_errors=True)
            (own / "in").mkdir()
            for part in raw:
                (own / "in" / os.fsdecode(part + b".png")).write_bytes(content)
            read_as_data(bench, own / "in")
            denoised(bench, own / "in", own / "out")

        check()
