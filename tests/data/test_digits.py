"""The embedded digits look like MNIST in numbers, and are the same in every process."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxae.data import digits, prepare
from tests.data.loading import load, load_labels

DIGEST = """
import hashlib
from jaxae.data import digits
images, labels = next(digits.generate("train", 2000))
print(hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def first() -> tuple[np.ndarray, np.ndarray]:
    chunks = digits.generate("train", 2000)
    images, labels = zip(*(next(chunks) for _ in range(8)), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def test_another_process_draws_the_same_images(first):
    images, labels = (array[: digits.CHUNK] for array in first)
    here = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    there = subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True).stdout.strip()
    assert here == there


def test_train_and_test_are_different_draws_and_nothing_repeats(first):
    test, _ = next(digits.generate("test", 250))
    everything = np.concatenate([first[0], test])
    assert len({image.tobytes() for image in everything}) == len(everything)


def test_statistics_are_like_those_of_mnist(first, prepared_data):
    images, labels = first
    mnist = load("mnist", "test", prepared_data)
    for statistic, tolerance in ((np.mean, 0.015), (np.std, 0.02)):
        assert statistic(images / 255) == pytest.approx(statistic(mnist / 255), abs=tolerance)
    assert np.bincount(labels, minlength=10) == pytest.approx(np.full(10, 200), abs=60)
    ink = images[..., 0].astype(float)
    axis = np.arange(28) - 13.5
    for side in (1, 2):  # the centre of mass lies in the middle
        mass = (ink.sum(side) * axis).sum(1) / ink.sum((1, 2))
        assert np.abs(mass).mean() < 0.5
        assert np.abs(mass).max() < 3
    inked = (ink > 127).any(1).sum(1), (ink > 127).any(2).sum(1)
    assert np.median(np.maximum(*inked)) == pytest.approx(20, abs=1)  # the 20×20 box


def test_a_classifier_trained_on_some_knows_the_others(first):
    """The labels belong to the images: the nearest of 1,500 images has the same label nine times in ten."""
    images, labels = first
    flat = images.reshape(len(images), -1) / 255
    known, asked = flat[:1500], flat[1500:]
    distances = (known**2).sum(1) - 2 * asked @ known.T
    assert (labels[:1500][distances.argmin(1)] == labels[1500:]).mean() > 0.9


def test_it_opens_with_plain_tfds(tmp_path, monkeypatch):
    monkeypatch.setattr(digits, "SIZES", {"train": 500, "test": 250})
    directory = prepare("digits", tmp_path)
    images, labels = next(digits.generate("test", 250))
    for builder in (tfds.builder("digits", data_dir=tmp_path), tfds.builder_from_directory(directory)):
        source = builder.as_data_source("test")
        assert len(source) == 250
        assert all(np.array_equal(source[i]["image"], images[i]) and source[i]["label"] == labels[i] for i in range(20))
        assert "DejaVuSans" in builder.info.description
        assert "matplotlib" in builder.info.description
    np.testing.assert_array_equal(load("digits", "test", tmp_path), images)
    np.testing.assert_array_equal(load_labels("digits", "test", tmp_path), labels)


def test_the_small_one_is_the_first_fifth(tmp_path, monkeypatch):
    monkeypatch.setattr(digits, "SIZES", {"train": 5000, "test": 2500})
    for split in ("train", "test"):
        images, labels = next(digits.generate(split, 250))
        small = load("digits_small", split, tmp_path)
        assert len(small) == digits.SIZES[split] // 5
        np.testing.assert_array_equal(small[:250], images)
        np.testing.assert_array_equal(load_labels("digits_small", split, tmp_path)[:250], labels)


@pytest.mark.slow
def test_the_whole_data_set_has_mnists_sizes(tmp_path):
    images = load("digits", "train", tmp_path)
    assert images.shape == (60_000, 28, 28, 1)
    assert load("digits", "test", tmp_path).shape == (10_000, 28, 28, 1)
