"""CIFAR-10 out of an archive in the official format, made from the real images, against the real prepared data set."""

import io
import tarfile

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxae.data import layouts, prepare
from jaxae.errors import UserError
from tests.data.loading import load, load_labels

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def write_archive(path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def official_members(splits: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, bytes]:
    """The files of `cifar-10-binary.tar.gz` for images and labels in the order of their ids."""

    def records(images, labels) -> np.ndarray:
        planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        return np.column_stack([labels.astype(np.uint8), planes])

    train = np.array_split(records(*splits["train"]), 5)
    files = {f"data_batch_{i + 1}.bin": part.tobytes() for i, part in enumerate(train)}
    files |= {"test_batch.bin": records(*splits["test"]).tobytes(), "readme.html": b"<html>"}
    files["batches.meta.txt"] = ("\n".join(NAMES) + "\n\n").encode()
    return {f"cifar-10-batches-bin/{name}": content for name, content in files.items()}


def in_order_of_ids(data_dir, split) -> tuple[np.ndarray, np.ndarray]:
    builder = tfds.builder("cifar10", data_dir=data_dir)
    source = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
    order = np.argsort([example["id"] for example in source.__getitems__(range(len(source)))])
    return load("cifar10", split, data_dir)[order], load_labels("cifar10", split, data_dir)[order]


@pytest.mark.slow
def test_the_result_has_the_pixels_of_the_real_prepared_data_set(tmp_path, real_data, taken_for_official):
    real = real_data / "tensorflow_datasets"
    (tmp_path / "files").mkdir()
    images, labels = in_order_of_ids(real, "test")
    expected = {"train": (images[:5000], labels[:5000]), "test": (images[5000:], labels[5000:])}
    write_archive(tmp_path / "files" / "cifar-10-binary.tar.gz", official_members(expected))
    taken_for_official("cifar10", tmp_path / "files")
    prepare("cifar10", tmp_path / "data", tmp_path / "files")
    for split, (images, labels) in expected.items():
        ours = in_order_of_ids(tmp_path / "data", split)
        np.testing.assert_array_equal(ours[0], images)
        np.testing.assert_array_equal(ours[1], labels)
    builder = tfds.builder("cifar10", data_dir=tmp_path / "data")
    assert builder.is_prepared()
    assert builder.info.features["label"].names == NAMES
    example = builder.as_data_source("train")[77]
    image, label = (column[int(example["id"].decode().removeprefix("train_"))] for column in expected["train"])
    np.testing.assert_array_equal(example["image"], image)
    assert example["label"] == label


@pytest.fixture
def few():
    random = np.random.default_rng(3)
    return {
        split: (random.integers(0, 256, (count, 32, 32, 3), np.uint8), random.integers(0, 10, count))
        for split, count in (("train", 10), ("test", 4))
    }


def test_a_small_archive(tmp_path, few, taken_for_official):
    write_archive(tmp_path / "cifar-10-binary.tar.gz", official_members(few))
    taken_for_official("cifar10", tmp_path)
    prepare("cifar10", tmp_path / "data", tmp_path)
    for split, (images, labels) in few.items():
        np.testing.assert_array_equal(in_order_of_ids(tmp_path / "data", split)[0], images)
        np.testing.assert_array_equal(in_order_of_ids(tmp_path / "data", split)[1], labels)


def test_an_archive_that_is_not_the_official_one(tmp_path, few):
    path = tmp_path / "cifar-10-binary.tar.gz"
    members = official_members(few)
    write_archive(path, members)
    with pytest.raises(UserError, match="does not hold the official cifar10"):
        prepare("cifar10", tmp_path / "data", tmp_path)
    whole = path.read_bytes()
    for content in (whole[:-5000], b"", b"nonsense"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"cifar-10-binary\.tar\.gz holds no whole cifar10"):
            layouts.find_layouts("cifar10", path)
    del members["cifar-10-batches-bin/test_batch.bin"]
    write_archive(path, members)
    with pytest.raises(UserError, match=r"holds no whole cifar10 \(it lacks test_batch\.bin\)"):
        prepare("cifar10", tmp_path / "data", tmp_path)


def test_an_archive_with_anything_outside_is_refused(tmp_path, few):
    path = tmp_path / "bad.tar.gz"
    write_archive(path, {"../escape.txt": b"outside", **official_members(few)})
    with pytest.raises(UserError, match=r"bad\.tar\.gz holds no whole cifar10 .*outside"):
        layouts.find_layouts("cifar10", path)
    assert not (tmp_path.parent / "escape.txt").exists()
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("test_batch.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    with pytest.raises(UserError, match=r"bad\.tar\.gz holds no whole cifar10 .*absolute"):
        layouts.find_layouts("cifar10", path)


def test_cifar100_comes_with_the_same_code(tmp_path, taken_for_official):
    random = np.random.default_rng(4)
    record = random.integers(0, 20, (6, 2 + 3072), np.uint8)
    record[:, 1] = np.arange(90, 96)  # fine labels
    files = {"train.bin": record[:4].tobytes(), "test.bin": record[4:].tobytes()}
    files["coarse_label_names.txt"] = "\n".join(f"coarse{i}" for i in range(20)).encode()
    files["fine_label_names.txt"] = "\n".join(f"fine{i}" for i in range(100)).encode()
    write_archive(
        tmp_path / "cifar-100-binary.tar.gz", {f"cifar-100-binary/{name}": text for name, text in files.items()}
    )
    taken_for_official("cifar100", tmp_path)
    prepare("cifar100", tmp_path / "data", tmp_path)
    images, labels = (read("cifar100", "test", tmp_path / "data") for read in (load, load_labels))
    order = np.argsort(labels)
    expected = np.argsort(record[4:, 1])
    np.testing.assert_array_equal(labels[order], record[4:, 1][expected])
    np.testing.assert_array_equal(images[order], record[4:, 2:].reshape(2, 3, 32, 32).transpose(0, 2, 3, 1)[expected])
