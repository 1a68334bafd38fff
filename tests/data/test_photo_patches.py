"""The patches have the statistics of natural images and colours of all kinds, and are the same in every process."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import skimage.data
import tensorflow_datasets as tfds

from jaxae.data import photo_patches, prepare
from jaxae.errors import UserError
from tests.data.loading import load, load_labels

DIGEST = """
import hashlib
from jaxae.data import photo_patches
print(hashlib.sha256(next(photo_patches.generate("test", 250))[0].tobytes()).hexdigest())
"""


@pytest.fixture(scope="module", autouse=True)
def small():
    """Four chunks instead of 240."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photo_patches, "SIZES", {"train": 750, "test": 250})
        yield


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.concatenate([chunk for chunk, _ in photo_patches.generate("train", 750)])


def test_another_process_makes_the_same_images():
    here = hashlib.sha256(next(photo_patches.generate("test", 250))[0].tobytes()).hexdigest()
    there = subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True).stdout.strip()
    assert here == there


def test_nothing_repeats_between_the_splits_or_within(images):
    assert not set(photo_patches.PHOTOGRAPHS["train"]) & set(photo_patches.PHOTOGRAPHS["test"])
    everything = np.concatenate([images, next(photo_patches.generate("test", 250))[0]])
    assert everything.shape == (1000, 32, 32, 3)
    uneven = everything[everything.std((1, 2)).max(-1) > 0]  # some have nothing left between black and white
    assert len(uneven) > 980
    assert len({image.tobytes() for image in uneven}) == len(uneven)


def test_a_patch_is_a_window_turned_and_mirrored_with_its_channels_exchanged():
    rows, columns, channels = np.meshgrid(np.arange(40), np.arange(50), np.arange(3), indexing="ij")
    photograph = np.float32(rows * 1000 + columns * 10 + channels)
    orientations, orders = set(), set()
    for seed in range(200):
        patch = photo_patches.cut_patch(np.random.default_rng(seed), [[photograph]], 32)
        order = tuple(np.int64(patch[0, 0] % 10))
        window = patch[..., np.argsort(order)]
        corner = window.min((0, 1))
        row, column = int(corner[0] // 1000), int(corner[0] % 1000 // 10)
        cut = photograph[row : row + 32, column : column + 32]
        candidates = [np.rot90(cut, turn)[:, ::step] for turn in range(4) for step in (1, -1)]
        (which,) = [i for i, candidate in enumerate(candidates) if np.array_equal(candidate, window)]
        orientations.add(which)
        orders.add(order)
    assert (len(orientations), len(orders)) == (8, 6)


def test_a_patch_gets_a_drawn_contrast_about_a_drawn_colour(monkeypatch):
    colours = np.random.default_rng(0).uniform(0.4, 0.6, (250, 3)).astype(np.float32)
    monkeypatch.setattr(photo_patches, "_colours", lambda random: colours)
    board = np.float32(0.3 + 0.4 * (np.indices((40, 50)).sum(0) % 2))[..., None].repeat(3, -1)  # 0.2 about its mean
    images = photo_patches._patches([0], [[board]]) / 255
    np.testing.assert_allclose(images.mean((1, 2)), colours, atol=0.003)
    contrast = images.std((1, 2)).mean(-1) / 0.2
    low, high = 0.7, 1.3
    assert low - 0.02 < contrast.min() < low + 0.05
    assert high - 0.05 < contrast.max() < high + 0.02


def spectrum_slope(grey: np.ndarray) -> float:
    """The exponent of the radial power spectrum, by a straight line through its logarithm."""
    power = (np.abs(np.fft.fft2(grey - grey.mean((1, 2), keepdims=True))) ** 2).mean(0)
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(32) * 32] * 2))
    rings = [power[(frequency >= ring) & (frequency < ring + 1)].mean() for ring in range(1, 15)]
    return np.polyfit(np.log(np.arange(1, 15) + 0.5), np.log(rings), 1)[0]


def test_statistics_are_those_of_natural_images(images, real_data):
    natural = load("cifar10", "test", real_data / "tensorflow_datasets")[:1000].mean(-1) / 255
    grey = images.mean(-1) / 255
    assert grey.mean() == pytest.approx(natural.mean(), abs=0.05)
    assert grey.std() == pytest.approx(natural.std(), abs=0.05)
    assert spectrum_slope(grey) == pytest.approx(spectrum_slope(natural), abs=0.8)
    for these in (grey, natural):  # kurtotic derivatives: 3 would be Gaussian
        steps = np.diff(these, axis=2)
        assert (steps**4).mean() / (steps**2).mean() ** 2 > 6
    correlation = np.corrcoef(grey[:, :, 1:].ravel(), grey[:, :, :-1].ravel())[0, 1]
    assert correlation == pytest.approx(0.95, abs=0.05)


def test_colours_are_of_every_hue_and_use_the_whole_range(images):
    assert np.percentile(images, 2) < 30
    assert np.percentile(images, 98) > 225
    red, green, blue = np.moveaxis(images.mean((1, 2)), -1, 0)
    for larger, smaller in ((red, blue), (blue, red), (green, red), (green, blue), (red, green), (blue, green)):
        assert (larger - smaller > 25).mean() > 0.05


def test_a_photograph_is_reduced_without_a_border_of_black(monkeypatch):
    monkeypatch.setattr(skimage.data, "chelsea", lambda: np.full((131, 135), 255, np.uint8))
    sizes = photo_patches.load_reduced("chelsea")
    assert [size.shape for size in sizes] == [(131, 135, 3), (65, 67, 3), (32, 33, 3)]
    assert {(size.dtype.name, size.min(), size.max()) for size in sizes} == {("float32", 1.0, 1.0)}


def test_photographs_that_are_not_there_are_named(monkeypatch):
    def refuse():
        raise ModuleNotFoundError("pooch is needed to download it")

    monkeypatch.setattr(skimage.data, "chelsea", refuse)
    with pytest.raises(UserError, match=r"picture chelsea cannot be had: pooch is needed .*; install scikit-image"):
        next(photo_patches.generate("test", 250))


def test_it_opens_with_plain_tfds(tmp_path, images):
    directory = prepare("photo_patches", tmp_path)
    builder = tfds.builder("photo_patches", data_dir=tmp_path)
    np.testing.assert_array_equal(builder.as_data_source("train")[300]["image"], images[300])
    np.testing.assert_array_equal(load("photo_patches", "train", tmp_path), images)
    assert load_labels("photo_patches", "train", tmp_path) is None
    assert "astronaut, chelsea, coffee in drawn colours" in tfds.builder_from_directory(directory).info.description
