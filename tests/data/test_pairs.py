"""Pairs of noisy and clean pictures: aligned, as they are, and refused where they are none."""

import jax
import numpy as np
import pytest
from PIL import Image

from jaxae import data
from jaxae.data import cutting, folder
from jaxae.errors import UserError

SHAPE = (16, 16, 3)
pytestmark = pytest.mark.usefixtures("own_cache")


def made(folder, name, pixels, **save):
    folder.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(folder / name, **save)


@pytest.fixture
def both(tmp_path):
    """Pairs of mixed sizes; a noisy picture is its clean one with each value inverted."""
    rng = np.random.default_rng(0)
    for number in range(12):
        pixels = rng.integers(0, 256, (16 + 5 * number, 20 + 3 * number, 3), np.uint8)
        made(tmp_path / "clean", f"{number}.png", pixels)
        made(tmp_path / "noisy", f"{number}.bmp", 255 - pixels)
    return tmp_path


def name_of(folder):
    return f"pairs:{folder / 'noisy'},{folder / 'clean'}"


def load(name, split, image_shape=SHAPE):
    return data.open(name, image_shape=image_shape).load(split)


def test_both_are_cut_from_the_same_places_as_they_are(both):
    opened = data.open(name_of(both), image_shape=SHAPE)
    assert opened.has_pairs
    splits = [opened.load(split) for split in ("train", "test")]
    for images in splits:
        np.testing.assert_array_equal(images.noisy, 255 - images.clean)
        assert images.shape[1:] == SHAPE
    originals = [np.asarray(Image.open(both / "clean" / f"{number}.png")) for number in range(12)]
    windows = [np.lib.stride_tricks.sliding_window_view(pixels, SHAPE).reshape(-1, *SHAPE) for pixels in originals]
    piece = splits[0].clean[0]
    assert any((piece == window).all() for of_picture in windows for window in of_picture)
    counts = [min(cutting.PIECES, pixels.size // piece.size) for pixels in originals]
    assert sum(images.count for images in splits) == sum(counts)
    assert "12 pairs matched by name; split by the files' names" in opened.description


def test_one_channel_takes_the_luminance_of_both(both):
    images = load(name_of(both), "train", image_shape=(16, 16, 1))
    assert images.shape[1:] == (16, 16, 1)
    assert abs(images.noisy.astype(int) - (255 - images.clean.astype(int))).max() <= 1


def test_folders_that_are_a_split_are_the_split(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    for side in ("noisy", "clean"):
        for number, place in enumerate(("train", "train", "test")):
            (tmp_path / side / place).mkdir(parents=True, exist_ok=True)
            made(tmp_path / side / place, f"{number}.png", np.roll(pixels, number, axis=0))
    assert load(name_of(tmp_path), "test").count == 1
    assert load(name_of(tmp_path), "train").count == 2


def test_pictures_are_turned_upright_before_they_are_compared(both):
    lying = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    made(both / "noisy", "turned.png", lying, exif=exif)
    made(both / "clean", "turned.png", np.rot90(lying, -1).copy())
    load(name_of(both), "train")


def test_another_size_is_left_out_by_name(both):
    made(both / "noisy", "odd.png", np.zeros((20, 30, 3), np.uint8))
    made(both / "clean", "odd.png", np.zeros((30, 20, 3), np.uint8))
    with pytest.warns(UserWarning, match=r"odd\.png .*noisy/odd\.png is 30×20 pixels and .*clean/odd\.png 20×30"):
        load(name_of(both), "train")


def test_what_cannot_be_read_and_what_is_alone_is_named(both):
    (both / "clean" / "3.png").write_bytes(b"no picture")
    (both / "clean" / "5.png").unlink()
    made(both / "noisy", "small.png", np.zeros((8, 30, 3), np.uint8))
    made(both / "clean", "small.png", np.zeros((8, 30, 3), np.uint8))
    with pytest.warns(UserWarning, match="left out") as caught:
        load(name_of(both), "train")
    said = " | ".join(str(warning.message) for warning in caught)
    assert "without a partner of the same name: 5.bmp" in said
    assert "3.bmp (" in said
    assert "small.png (30×8 pixels, smaller than the 16×16" in said


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pairs:{0}/noisy", "names no two folders"),
        ("pairs:{0}/noisy,{0}/clean,{0}", "names no two folders"),
        ("pairs:{0}/noisy,", "names no two folders"),
        ("pairs:{0}/noisy,{0}/none", "there is no folder .*none"),
        ("pairs:{0}/noisy,{0}/noisy", "names one folder twice"),
        ("pairs:{0}/noisy,{0}/empty", "empty holds no picture"),
    ],
)
def test_what_names_no_pairs_is_refused(both, name, says):
    (both / "empty").mkdir()
    with pytest.raises(UserError, match=says):
        data.open(name.format(both))


def test_the_next_reading_is_of_what_is_there_now(both, monkeypatch):
    monkeypatch.setattr("jaxae.data.folder.CACHE_WORTH", 0.0)
    first = load(name_of(both), "train")
    folder._read.cache_clear()
    monkeypatch.setattr(cutting, "pieces", None)  # the cache serves
    jax.tree.map(np.testing.assert_array_equal, load(name_of(both), "train"), first)
    monkeypatch.undo()
    made(both / "clean", "0.png", np.zeros((16, 20, 3), np.uint8))
    folder._read.cache_clear()
    splits = [load(name_of(both), split) for split in ("train", "test")]
    assert any((images.clean == 0).all((1, 2, 3)).any() for images in splits)
