"""Which values are black and white."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxae import data
from jaxae.data.pictures import files
from jaxae.data.pictures.picture import EIGHT_BITS, SPAN, STATED, Picture
from jaxae.errors import UserError
from tests.data.loading import load
from tests.data.pictures.tools import copy, only

RANGE = -100.0, 4000.0


@pytest.fixture
def counts(tmp_path):
    values = np.random.default_rng(0).uniform(*RANGE, (24, 20)).astype(np.float32)
    tifffile.imwrite(tmp_path / "counts.tif", values)
    return tmp_path / "counts.tif", values


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int32])
def test_values_are_shares_of_the_way_from_black_to_white(counts, dtype):
    path, values = counts
    tifffile.imwrite(path, values.astype(dtype))
    wanted = (values.astype(dtype).astype(float) + 100) / 4100
    file = files.read_picture(path, RANGE)
    np.testing.assert_allclose(only(file).floats().squeeze(-1), wanted, atol=1e-6)
    assert file.notes == ()


def test_what_is_written_has_the_range_of_what_was_read(counts, tmp_path):
    path, values = counts
    file = files.read_picture(path, RANGE)
    files.write_picture(tmp_path / "out.tif", file, [np.clip(file.pages[0].floats() - 0.25, 0, 1)])
    written = tifffile.imread(tmp_path / "out.tif")
    assert written.dtype == np.float32
    np.testing.assert_allclose(written, np.maximum(values - 0.25 * 4100, -100), atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("ends", [(0.0, 100.0), (100.0, 0.0), (-7.0, 120.0)])
def test_scaling_is_undone_by_its_inverse(dtype, ends):
    values = np.arange(100, dtype=dtype).reshape(10, 10, 1)
    picture = Picture(values, None, ends)
    np.testing.assert_allclose(picture.as_stored(picture.floats()), values, atol=1e-4 if dtype == np.float32 else 0)


def test_without_an_option_the_values_of_all_pages_are_spanned(tmp_path):
    values = np.random.default_rng(0).integers(300, 9000, (3, 9, 7)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack")
    file = copy(tmp_path / "a.tif")
    assert file.notes == (SPAN,)
    assert {page.value_range for page in file.pages} == {(values.min(), values.max())}
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "copy-a.tif"), values)
    tifffile.imwrite(tmp_path / "b.tif", np.full((9, 7), 5, np.uint16))
    np.testing.assert_array_equal(only(copy(tmp_path / "b.tif")).values, 5)


@pytest.mark.parametrize(
    ("options", "stated"),
    [
        ({"extratags": [(340, 3, 1, 0, True), (341, 3, 1, 4095, True)], "metadata": None}, (0, 4095)),
        ({"extratags": [(280, 3, 1, 10, True), (281, 3, 1, 1023, True)], "metadata": None}, (10, 1023)),
        ({"imagej": True, "metadata": {"min": 50, "max": 3000.5}}, (50, 3000.5)),
        ({"imagej": True, "metadata": {"min": 200, "max": 300}}, None),  # how ImageJ shows it, not what it has
        ({"ome": True, "metadata": {"axes": "YX", "SignificantBits": 12}}, (0, 4095)),
    ],
)
def test_a_range_that_the_file_states_is_taken(tmp_path, options, stated):
    values = np.random.default_rng(0).integers(100, 1000, (9, 7)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    file = copy(tmp_path / "a.tif")
    assert only(file).value_range == (stated or (values.min(), values.max()))
    assert file.notes == (STATED if stated else SPAN,)
    assert only(copy(tmp_path / "a.tif", value_range=(0.0, 2000.0))).value_range == (0, 2000)


def test_values_beyond_the_range_are_refused_with_the_one_found(counts):
    path, values = counts
    with pytest.raises(UserError, match=rf"counts.tif: values from {values.min():g} to .*, beyond `data.range` 0,4000"):
        files.read_picture(path, (0.0, 4000.0))


def test_eight_bits_have_a_range_of_their_own_and_say_so(tmp_path):
    Image.fromarray(np.uint8([[0, 51], [102, 255]])).save(tmp_path / "grey.png")
    file = files.read_picture(tmp_path / "grey.png", RANGE)
    np.testing.assert_allclose(file.pages[0].floats().ravel(), [0, 0.2, 0.4, 1], atol=1e-6)
    assert file.notes == (EIGHT_BITS,)


def test_a_folder_is_read_in_its_range_and_at_its_depth(tmp_path):
    unit = np.random.default_rng(2).random((6, 32, 32), np.float32)
    for number, values in enumerate(unit):
        for name, array in (("counts", np.float32(-100 + values * 4100)), ("whole", np.int16(-100 + values * 4100))):
            (tmp_path / name).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / name / f"{number}.tif", array)
    value_range = data.parse_value_range("-100,4000")
    for name, error in (("counts", 1), ("whole", 17)):
        images = [
            load(f"folder:{tmp_path / name}", split, image_shape=(32, 32, 1), value_range=value_range)
            for split in ("train", "test")
        ]
        found = np.concatenate(images)[..., 0].astype(float)
        assert images[0].dtype == np.uint16
        for image in found:
            assert min(abs(image - 65535 * values).max() for values in unit) <= error


def test_pictures_of_eight_and_of_sixteen_bits_make_images_of_sixteen(tmp_path):
    Image.fromarray(np.full((8, 8), 120, np.uint8)).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "b.tif", np.arange(64, dtype=np.uint16).reshape(8, 8))
    with pytest.warns(UserWarning, match="its lowest value is taken for black"):
        images = [load(f"folder:{tmp_path}", split, image_shape=(8, 8, 1)) for split in ("train", "test")]
    assert sorted(int(image.max()) for image in images) == [120 * 257, 65535]


def test_a_pair_shares_the_range_of_both(tmp_path):
    clean = np.random.default_rng(0).integers(1000, 2000, (16, 16)).astype(np.uint16)
    for side, values in (("noisy", clean - 500), ("clean", clean)):
        (tmp_path / side).mkdir()
        for number in range(2):
            tifffile.imwrite(tmp_path / side / f"{number}.tif", np.roll(values, number))
    with pytest.warns(UserWarning, match="its lowest value is taken for black"):
        images = data.open(f"pairs:{tmp_path / 'noisy'},{tmp_path / 'clean'}", image_shape=(16, 16, 1)).load("train")
    difference = images.clean.astype(float) - images.noisy
    np.testing.assert_allclose(difference, 500 / (np.ptp(clean) + 500) * 65535, atol=1)


@pytest.mark.parametrize("text", ["1", "1,0", "2,2", "a,b", "0,1,2", "nan,1", "0,inf", ""])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(UserError, match=f"`data.range` {text}: must be LOW,HIGH"):
        data.parse_value_range(text)


def test_a_data_set_of_bytes_has_no_range():
    with pytest.raises(UserError, match="not for mnist: leave it out"):
        data.open("mnist", value_range=(0.0, 4095.0))
