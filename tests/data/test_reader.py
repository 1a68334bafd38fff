"""Prepared data sets of every kind, and a cache that is never stale and never wrong."""

import os
import shutil

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxae import data
from jaxae.data import prepared
from jaxae.errors import UserError
from tests.data.loading import load, load_labels


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


@pytest.fixture
def grey(tmp_path, tiny_data_set, grey_images):
    """The directory of a prepared data set of seven grey training images and three test images with labels."""
    features = {"image": tfds.features.Image(shape=(5, 6, 1)), "label": tfds.features.ClassLabel(num_classes=9)}
    examples = [{"image": png(image), "label": index} for index, image in enumerate(grey_images)]
    return tiny_data_set(tmp_path, features, {"train": examples, "test": examples[:3]})


def test_images_and_labels_by_name(tmp_path, grey, grey_images):
    images = load("tiny", "train", tmp_path)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, grey_images)
    np.testing.assert_array_equal(load("tiny", "test", tmp_path), grey_images[:3])
    np.testing.assert_array_equal(load_labels("tiny", "train", tmp_path), np.arange(7))


def test_prepared_cifar10_loads_as_it_lies(real_data):
    data_dir = real_data / "tensorflow_datasets"
    before = sorted(path.name for path in (data_dir / "cifar10" / "3.0.2").iterdir())
    images, labels = load("cifar10", "test", data_dir), load_labels("cifar10", "test", data_dir)
    assert images.shape == (10_000, 32, 32, 3)
    np.testing.assert_array_equal(np.bincount(labels), np.full(10, 1000))
    example = tfds.builder("cifar10", data_dir=data_dir).as_data_source("test")[1234]
    np.testing.assert_array_equal(images[1234], example["image"])  # RGB, not OpenCV's BGR
    assert labels[1234] == example["label"]
    # The directory is read-only: nothing may be written there.
    assert sorted(path.name for path in (data_dir / "cifar10" / "3.0.2").iterdir()) == before


def test_the_second_load_does_not_decode(tmp_path, grey, grey_images, monkeypatch):
    load("tiny", "train", tmp_path)
    monkeypatch.setattr(prepared.StoredSplit, "arrays", None)  # which decodes
    np.testing.assert_array_equal(load("tiny", "train", tmp_path), grey_images)
    np.testing.assert_array_equal(load_labels("tiny", "train", tmp_path), np.arange(7))


def test_a_damaged_cache_is_rebuilt(tmp_path, grey, grey_images):
    load("tiny", "train", tmp_path)
    cache = grey / "jaxae_cache" / "train.npz"
    whole = cache.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(grey_images.tobytes()) + 50] ^= 1
    for content in (whole[:-20], whole[: len(whole) // 2], b"", b"nonsense", bytes(flipped)):
        cache.write_bytes(content)
        np.testing.assert_array_equal(load("tiny", "train", tmp_path), grey_images)
        assert cache.read_bytes() == whole


def test_a_data_set_prepared_anew_is_not_served_from_the_old_cache(tmp_path, grey, grey_images, tiny_data_set):
    load("tiny", "train", tmp_path)
    old_cache = grey / "jaxae_cache"
    shutil.copytree(old_cache, tmp_path / "kept")
    shutil.rmtree(grey)
    features = {"image": tfds.features.Image(shape=(5, 6, 1)), "label": tfds.features.ClassLabel(num_classes=9)}
    other = [{"image": png(255 - image), "label": 0} for image in grey_images]
    tiny_data_set(tmp_path, features, {"train": other})
    shutil.copytree(tmp_path / "kept", old_cache)
    np.testing.assert_array_equal(load("tiny", "train", tmp_path), 255 - grey_images)


def test_a_read_only_directory_or_a_full_disk_only_means_no_cache(tmp_path, grey, grey_images, monkeypatch):
    grey.chmod(0o555)
    np.testing.assert_array_equal(load("tiny", "train", tmp_path), grey_images)
    assert not (grey / "jaxae_cache").exists()
    grey.chmod(0o755)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    np.testing.assert_array_equal(load("tiny", "train", tmp_path), grey_images)
    assert list((grey / "jaxae_cache").iterdir()) == []


def test_tfrecord_files_are_read_too(tmp_path, grey, grey_images):
    """TFDS writes TFRecord when it has TensorFlow; here the same records are put into that format by hand."""
    records = tfds.builder_from_directory(grey).as_data_source("train").data_source.__getitems__(range(7))
    next(path for path in grey.iterdir() if "tiny-train" in path.name).unlink()
    framed = b"".join(len(record).to_bytes(8, "little") + b"\0" * 4 + record + b"\0" * 4 for record in records)
    file = grey / "tiny-train.tfrecord-00000-of-00001"
    file.write_bytes(framed)
    info = grey / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    np.testing.assert_array_equal(load("tiny", "train", tmp_path), grey_images)
    np.testing.assert_array_equal(load_labels("tiny", "train", tmp_path), np.arange(7))
    with pytest.raises(UserError, match="is stored as tfrecord, which cannot be read by index"):
        data.open("tiny", tmp_path).records("train")
    file.write_bytes(framed[:-30])
    with pytest.raises(UserError, match=r"damaged \(tiny-train.* is truncated\)"):
        load("tiny", "train", tmp_path)


def test_colour_images_without_labels(tmp_path, tiny_data_set):
    images = np.random.default_rng(2).integers(0, 256, (4, 8, 8, 3), np.uint8)
    feature = tfds.features.Tensor(shape=(8, 8, 3), dtype=np.uint8, encoding=tfds.features.Encoding.BYTES)
    tiny_data_set(tmp_path, {"photo": feature}, {"train": [{"photo": image} for image in images]})
    np.testing.assert_array_equal(load("tiny", "train", tmp_path), images)
    assert load_labels("tiny", "train", tmp_path) is None


def test_a_missing_split_names_those_there_are(tmp_path, tiny_data_set, grey_images):
    feature = tfds.features.Image(shape=(5, 6, 1))
    examples = [{"image": png(image)} for image in grey_images]
    tiny_data_set(tmp_path, {"image": feature}, {"train": examples, "extra": examples})
    with pytest.raises(UserError, match="no split 'test'; its splits: extra, train"):
        load("tiny", "test", tmp_path)


def test_the_split_that_is_the_test_split_can_be_named(tmp_path, tiny_data_set, grey_images):
    feature = tfds.features.Image(shape=(5, 6, 1))
    examples = [{"image": png(image)} for image in grey_images]
    tiny_data_set(tmp_path, {"image": feature}, {"train": examples, "validation": examples[:3]})
    assert len(load("tiny", "test", tmp_path, test_split="validation")) == 3


def test_images_that_vary_in_size_or_are_none(tmp_path, tiny_data_set, grey_images):
    anything = tfds.features.Image(shape=(None, None, 1))
    tiny_data_set(tmp_path, {"image": anything}, {"train": [{"image": png(grey_images[0])}]})
    with pytest.raises(UserError, match=r"have no fixed size.*folder:PATH"):
        load("tiny", "train", tmp_path)
    tiny_data_set(tmp_path, {"text": tfds.features.Text()}, {"train": [{"text": "a"}]}, name="words")
    with pytest.raises(UserError, match=r"no uint8 image of rank 3; its features: text"):
        load("words", "train", tmp_path)


def test_a_damaged_data_set_is_named(tmp_path, grey):
    shard = next(path for path in grey.iterdir() if "train" in path.name)
    content = shard.read_bytes()
    for damage in (lambda: os.truncate(shard, len(content) // 2), lambda: os.truncate(shard, 0), shard.unlink):
        damage()
        with pytest.raises(UserError, match=r"tiny.*prepare it again"):
            load("tiny", "train", tmp_path)
