"""Floating-point pictures whose black and white are not 0 and 1."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxae import data
from jaxae.data.pictures import files, scientific
from jaxae.errors import UserError
from tests.data.loading import load

RANGE = -100.0, 4000.0


@pytest.fixture
def counts(tmp_path):
    values = np.random.default_rng(0).uniform(*RANGE, (24, 20)).astype(np.float32)
    tifffile.imwrite(tmp_path / "counts.tif", values)
    return tmp_path / "counts.tif", values


def test_values_are_shares_of_the_way_from_black_to_white(counts):
    path, values = counts
    wanted = (values + 100) / 4100
    np.testing.assert_allclose(files.read_picture(path, RANGE).pages[0].floats().squeeze(-1), wanted, atol=1e-6)


def test_what_is_written_has_the_range_of_what_was_read(counts, tmp_path):
    path, values = counts
    file = files.read_picture(path, RANGE)
    files.write_picture(tmp_path / "out.tif", file, [np.clip(file.pages[0].floats() - 0.25, 0, 1)])
    written = tifffile.imread(tmp_path / "out.tif")
    assert written.dtype == np.float32
    np.testing.assert_allclose(written, np.maximum(values - 0.25 * 4100, -100), atol=1e-3)


def test_scaling_is_undone_by_its_inverse():
    unit = np.random.default_rng(1).random((5, 7), np.float32)
    for value_range in (None, RANGE, (0.0, 1e-6), (-1.0, 0.0)):
        there = scientific.from_unit(unit, value_range)
        np.testing.assert_allclose(scientific.to_unit(there, value_range), unit, atol=1e-6)


@pytest.mark.parametrize(
    ("value_range", "said"),
    [(None, "give black and white as `data.range`"), ((0.0, 4000.0), "beyond `data.range` 0,4000")],
)
def test_values_beyond_the_range_are_refused_with_the_one_found(counts, value_range, said):
    path, values = counts
    with pytest.raises(UserError, match=f"counts.tif: floating-point values from {values.min():g} to .*{said}"):
        files.read_picture(path, value_range)


def test_pictures_of_whole_numbers_keep_their_own_range(tmp_path):
    Image.fromarray(np.uint8([[0, 51], [102, 255]])).save(tmp_path / "grey.png")
    read = files.read_picture(tmp_path / "grey.png", RANGE).pages[0].floats()
    np.testing.assert_allclose(read.ravel(), [0, 0.2, 0.4, 1], atol=1e-6)


def test_zero_as_white_has_no_range(tmp_path):
    tifffile.imwrite(tmp_path / "white.tif", np.float32([[0, 300]]), photometric="miniswhite")
    with pytest.raises(UserError, match="0 being white, up to 300; save it with 0 as black"):
        files.read_picture(tmp_path / "white.tif", (0.0, 300.0))


def test_a_folder_is_read_in_its_range(tmp_path):
    unit = np.random.default_rng(2).random((6, 32, 32), np.float32)
    for number, values in enumerate(unit):
        for name, array in (("counts", -100 + values * 4100), ("unit", values)):
            (tmp_path / name).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / name / f"{number}.tif", array.astype(np.float32))
    counts, plain = f"folder:{tmp_path / 'counts'}", f"folder:{tmp_path / 'unit'}"
    value_range = data.parse_value_range("-100,4000")
    for split in ("train", "test"):
        images = load(counts, split, image_shape=(32, 32, 1), value_range=value_range)
        difference = images.astype(int) - load(plain, split, image_shape=(32, 32, 1))
        assert abs(difference).max() <= 1  # of 255: a value in the middle of two may be rounded either way
    with (
        pytest.warns(UserWarning, match="unreadable: .*give black and white as `data.range`"),
        pytest.raises(UserError, match="no readable image"),
    ):
        load(counts, "train", image_shape=(32, 32, 1))


@pytest.mark.parametrize("text", ["1", "1,0", "2,2", "a,b", "0,1,2", "nan,1", "0,inf", ""])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(UserError, match=f"`data.range` {text}: must be LOW,HIGH"):
        data.parse_value_range(text)


def test_a_data_set_of_bytes_has_no_range():
    with pytest.raises(UserError, match="not for mnist: leave it out"):
        data.open("mnist", value_range=(0.0, 4095.0))
