"""Real MNIST, prepared without TensorFlow from the official files, against an independent reading of those files."""

import gzip
import shutil
import struct

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxae.data import builders, layouts, official, prepare
from jaxae.errors import UserError
from tests.data.loading import load, load_labels

FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def parse(folder, images, labels) -> tuple[np.ndarray, np.ndarray]:
    pixels, classes = gzip.decompress((folder / images).read_bytes()), gzip.decompress((folder / labels).read_bytes())
    _, count, height, width = struct.unpack(">IIII", pixels[:16])
    return np.frombuffer(pixels[16:], np.uint8).reshape(count, height * width), np.frombuffer(classes[8:], np.uint8)


def same_examples(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> bool:
    """The same pairs of image and label, in whatever order: TFDS stores examples in an order of its own."""

    def sort(images: np.ndarray, labels: np.ndarray) -> list[bytes]:
        rows = np.column_stack([labels.astype(np.uint8), images.reshape(len(images), -1)])
        return sorted(row.tobytes() for row in rows)

    return sort(*one) == sort(*other)


@pytest.mark.parametrize(("split", "count"), [("train", 60_000), ("test", 10_000)])
def test_the_pixels_and_labels_are_those_of_the_official_files(prepared_data, real_data, split, count):
    images, labels = load("mnist", split, prepared_data), load_labels("mnist", split, prepared_data)
    assert images.shape == (count, 28, 28, 1)
    assert images.dtype == np.uint8
    assert same_examples((images, labels), parse(real_data / "mnist", *FILES[split]))


def test_it_opens_with_plain_tfds(prepared_data):
    builder = tfds.builder("mnist", data_dir=prepared_data)
    assert builder.is_prepared()
    assert {split: info.num_examples for split, info in builder.info.splits.items()} == {
        "train": 60_000,
        "test": 10_000,
    }
    images, labels = load("mnist", "test", prepared_data), load_labels("mnist", "test", prepared_data)
    source = builder.as_data_source("test")
    for index in (0, 1, 9_999):
        np.testing.assert_array_equal(source[index]["image"], images[index])
        assert source[index]["label"] == labels[index]


@pytest.mark.parametrize("name", official.OFFICIAL)
def test_addresses_version_features_and_checksums_are_the_official_ones(name, tmp_path):
    ours, theirs = builders.find_builder(name)(data_dir=tmp_path), tfds.builder(name, data_dir=tmp_path)
    assert (ours.name, ours.version) == (theirs.name, theirs.version)
    assert ours.info.features.to_json() == theirs.info.features.to_json()
    assert set(official.official_files(name)) == set(type(theirs).url_infos)
    assert all(len(checksum) == 64 for _, checksum in official.official_files(name).values())


def write_idx(path, array, header=None):
    header = header or bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def test_read_idx_round_trip(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / "a.gz", array)
    np.testing.assert_array_equal(layouts.read_idx((tmp_path / "a.gz").read_bytes(), "a.gz"), array)


def test_read_idx_names_a_file_that_is_none(tmp_path):
    path = tmp_path / "bad.gz"
    array = np.zeros((2, 3), np.uint8)
    write_idx(path, array)
    whole = path.read_bytes()
    wrong_count = gzip.compress(bytes((0, 0, 8, 2)) + struct.pack(">II", 2, 4) + array.tobytes())
    floats = gzip.compress(bytes((0, 0, 13, 2)) + struct.pack(">II", 2, 3) + array.tobytes())
    for content in (
        whole[:-9],
        b"",
        b"not gzip at all",
        gzip.compress(b""),
        gzip.compress(b"\0\0\x08"),
        wrong_count,
        floats,
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.gz"):
            layouts.read_idx(path.read_bytes(), path.name)


def small_fashion_mnist(folder):
    """A folder in the official format with 6 + 4 images."""
    random = np.random.default_rng(1)
    made = {}
    folder.mkdir()
    for (split, (images, labels)), count in zip(FILES.items(), (6, 4), strict=True):
        made[split] = random.integers(0, 256, (count, 28, 28), np.uint8), random.integers(0, 10, count, np.uint8)
        write_idx(folder / images, made[split][0])
        write_idx(folder / labels, made[split][1])
    return made


def test_fashion_mnist_comes_with_the_same_code(tmp_path, taken_for_official):
    made = small_fashion_mnist(tmp_path / "files")
    taken_for_official("fashion_mnist", tmp_path / "files")
    prepare("fashion_mnist", tmp_path / "data", tmp_path / "files")
    assert tfds.builder("fashion_mnist", data_dir=tmp_path / "data").is_prepared()
    for split, (images, labels) in made.items():
        there = load("fashion_mnist", split, tmp_path / "data"), load_labels("fashion_mnist", split, tmp_path / "data")
        assert same_examples(there, (images, labels))


def test_an_image_that_is_not_the_official_one_is_found_out(real_data, tmp_path):
    shutil.copytree(real_data / "mnist", tmp_path / "files", copy_function=shutil.copyfile)
    labels = tmp_path / "files" / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(gzip.decompress(labels.read_bytes()))
    content[100] ^= 1
    labels.write_bytes(gzip.compress(content))
    with pytest.raises(UserError, match=r"files does not hold the official mnist .* fetch https://"):
        prepare("mnist", tmp_path / "data", tmp_path / "files")
    labels.write_bytes(b"truncated")
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz is not an idx file"):
        prepare("mnist", tmp_path / "data", tmp_path / "files")
    assert not (tmp_path / "data" / "mnist").exists()


def test_a_missing_file_and_a_missing_folder_are_named(real_data, tmp_path):
    with pytest.raises(UserError, match=r"there is no .*nowhere"):
        prepare("mnist", tmp_path, tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds no mnist in a form that is known: .* fetch https://storage"):
        prepare("mnist", tmp_path, tmp_path)
