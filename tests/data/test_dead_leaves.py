"""The dead-leaves images have the statistics the model is known for, and are the same in every process."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxae.data import dead_leaves, load, load_labels, prepare

DIGEST = """
import hashlib
from jaxae.data import dead_leaves
print(hashlib.sha256(next(dead_leaves.generate("test", 250))[0].tobytes()).hexdigest())
"""


@pytest.fixture(scope="module", autouse=True)
def small():
    """Four chunks instead of 240."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dead_leaves, "SIZES", {"train": 750, "test": 250})
        yield


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.concatenate([chunk for chunk, _ in dead_leaves.generate("train", 750)])


def test_another_process_draws_the_same_images():
    here = hashlib.sha256(next(dead_leaves.generate("test", 250))[0].tobytes()).hexdigest()
    there = subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True).stdout.strip()
    assert here == there


def test_nothing_repeats_between_the_splits_or_within(images):
    everything = np.concatenate([images, next(dead_leaves.generate("test", 250))[0]])
    assert everything.shape == (1000, 32, 32, 3)
    assert len({image.tobytes() for image in everything}) == 1000


def test_radii_follow_the_power_law():
    radii = dead_leaves._radii(np.random.default_rng(0))
    low, high = dead_leaves.RADII
    assert low <= radii.min() <= radii.max() <= high * (1 + 1e-5)
    for radius in (10, 14, 20, 40):  # P(r > x) for a density proportional to r^-3 between the limits
        expected = (radius**-2 - high**-2) / (low**-2 - high**-2)
        assert (radii > radius).mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / len(radii)))


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
    assert spectrum_slope(grey) == pytest.approx(spectrum_slope(natural), abs=0.5)
    for these in (grey, natural):  # kurtotic derivatives: 3 would be Gaussian
        steps = np.diff(these, axis=2)
        assert (steps**4).mean() / (steps**2).mean() ** 2 > 6
    correlation = np.corrcoef(grey[:, :, 1:].ravel(), grey[:, :, :-1].ravel())[0, 1]
    assert correlation == pytest.approx(0.92, abs=0.05)


def test_it_is_colour_and_uses_the_whole_range(images):
    assert np.percentile(images, 2) < 30
    assert np.percentile(images, 98) > 225
    assert (images.max(-1).astype(int) - images.min(-1)).mean() > 20


def test_it_opens_with_plain_tfds(tmp_path, images):
    directory = prepare("dead_leaves", tmp_path)
    builder = tfds.builder("dead_leaves", data_dir=tmp_path)
    np.testing.assert_array_equal(builder.as_data_source("train")[300]["image"], images[300])
    np.testing.assert_array_equal(load("dead_leaves", "train", tmp_path), images)
    assert load_labels("dead_leaves", "train", tmp_path) is None
    assert "Lee, Mumford and Huang" in tfds.builder_from_directory(directory).info.description
