"""Official data in every form in which it lies on disks is the same data."""

import pickle

import numpy as np
import pytest

from jaxae.data import layouts, official, prepare
from jaxae.data.layouts import LabeledImages
from jaxae.errors import UserError
from tests.data.loading import load
from tests.stress import official_layouts

CLASSES = [[f"class{number}" for number in range(10)]]
CLASSES_100 = [[f"coarse{number}" for number in range(20)], [f"fine{number}" for number in range(100)]]


def small(shape, most):
    random = np.random.default_rng(0)

    def split(count):
        images = random.integers(0, 256, (count, *shape), np.uint8)
        return LabeledImages(images, np.stack([random.integers(0, top, count, np.uint8) for top in most], axis=1))

    return {"train": split(10), "test": split(4)}


def check(found, splits):
    assert {name: layouts.content_digest(split) for name, split in found.splits.items()} == {
        name: layouts.content_digest(split) for name, split in splits.items()
    }


@pytest.mark.parametrize("form", official_layouts.MNIST)
def test_every_form_of_mnist(tmp_path, form):
    splits = small((28, 28, 1), [10])
    [found] = layouts.find_layouts("mnist", official_layouts.MNIST[form](splits, tmp_path))
    check(found, splits)


@pytest.mark.parametrize(
    ("name", "classes", "most"), [("cifar10", CLASSES, [10]), ("cifar100", CLASSES_100, [20, 100])]
)
def test_every_form_of_cifar(tmp_path, name, classes, most):
    splits = small((32, 32, 3), most)
    for number, make in enumerate(official_layouts.cifar(splits, classes).values()):
        [found] = layouts.find_layouts(name, make(tmp_path / str(number)))
        check(found, splits)
        assert found.classes == classes


def test_order_does_not_count_and_labels_do():
    split = small((28, 28, 1), [10])["train"]
    assert layouts.content_digest(LabeledImages(split.images[::-1], split.labels[::-1])) == layouts.content_digest(
        split
    )
    assert layouts.content_digest(LabeledImages(split.images, split.labels[::-1])) != layouts.content_digest(split)


@pytest.mark.slow
def test_the_real_data_is_official(real_data):
    mnist, cifar10 = official_layouts.real_mnist(real_data), official_layouts.real_cifar10(real_data)
    for name, splits in (("mnist", mnist), ("cifar10", cifar10)):
        assert tuple(layouts.content_digest(splits[split]) for split in layouts.SPLITS) == official.CONTENT[name]


def test_what_is_not_known_to_be_official_is_said_to_be_so(tmp_path):
    splits = small((28, 28, 1), [10])
    path = official_layouts.MNIST["the four files, unpacked"](splits, tmp_path / "files")
    with pytest.warns(UserWarning, match="is taken for kmnist as it is"):
        prepare("kmnist", tmp_path / "data", path)
    assert load("kmnist", "test", tmp_path / "data").shape == (4, 28, 28, 1)
    with pytest.raises(UserError, match="does not hold the official mnist"):
        prepare("mnist", tmp_path / "data", path)
    official_layouts.MNIST["Keras's `mnist.npz`"](small((28, 28, 1), [5]), tmp_path)
    with pytest.raises(UserError, match="holds 2 data sets that may be fashion_mnist"):
        prepare("fashion_mnist", tmp_path / "data", tmp_path)


def test_another_official_data_set_is_not_taken_for_one_that_is_not_known(tmp_path, monkeypatch):
    splits = small((28, 28, 1), [10])
    official_layouts.write(tmp_path / "files", official_layouts.idx_files(splits))
    monkeypatch.setitem(official.CONTENT, "mnist", tuple(layouts.content_digest(split) for split in splits.values()))
    with pytest.raises(UserError, match="holds 0 data sets that may be kmnist"):
        prepare("kmnist", tmp_path / "data", tmp_path / "files")


def test_what_is_there_twice_or_beside_something_else_is_found(tmp_path, monkeypatch):
    splits = small((32, 32, 3), [20, 100])
    for make in official_layouts.cifar(splits, CLASSES_100).values():
        make(tmp_path / "cifar")
    with pytest.warns(UserWarning, match="is taken for cifar100"):
        assert official.find_official("cifar100", tmp_path / "cifar").classes == CLASSES_100
    digits = small((28, 28, 1), [10])
    official_layouts.write(tmp_path / "data" / "MNIST" / "raw", official_layouts.idx_files(digits))
    (tmp_path / "data" / "EMNIST" / "raw").mkdir(parents=True)
    (tmp_path / "data" / "EMNIST" / "raw" / "emnist-letters-train-labels-idx1-ubyte").write_bytes(b"other")
    np.savez(tmp_path / "data" / "imdb.npz", **{f"{x}_{split}": np.zeros(3) for x in "xy" for split in digits})
    [found] = layouts.find_layouts("mnist", tmp_path / "data")
    check(found, digits)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int32])
def test_labels_in_an_npz_may_be_of_any_whole_numbers(tmp_path, dtype):
    digits = small((28, 28, 1), [10])
    path = official_layouts.npz(digits, tmp_path / "mnist.npz")
    with np.load(path) as arrays:
        content = {name: array.astype(dtype) if name.startswith("y") else array for name, array in arrays.items()}
    np.savez(path, **content)
    check(next(iter(layouts.find_layouts("mnist", path))), digits)
    for wrong in (content["y_test"] + dtype(100), content["y_test"].astype(float)):
        np.savez(path, **content | {"y_test": wrong})
        with pytest.raises(UserError, match="and labels from 0 to 9"):
            list(layouts.find_layouts("mnist", path))


def test_what_is_broken_or_incomplete_is_named(tmp_path):
    splits = small((28, 28, 1), [10])
    files = official_layouts.idx_files(splits)
    folder = official_layouts.write(tmp_path / "files", files)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match=r"files holds no whole mnist \(it lacks the test labels"):
        list(layouts.find_layouts("mnist", tmp_path))
    official_layouts.write(folder, {"t10k-labels-idx1-ubyte": files["train-labels-idx1-ubyte"]})
    with pytest.raises(UserError, match=r"files holds no whole mnist \(uint8 of \(4, 28, 28\) and uint8 of \(10,\)"):
        list(layouts.find_layouts("mnist", tmp_path))
    with pytest.raises(UserError, match="holds no mnist in a form that is known: name the folder of all its files"):
        official.find_official("mnist", folder / "train-images-idx3-ubyte")
    batches = official_layouts.pickled(small((32, 32, 3), [10]), CLASSES)
    del batches["data_batch_3"]
    with pytest.raises(UserError, match="lacks data_batch_3"):
        list(layouts.find_layouts("cifar10", official_layouts.write(tmp_path / "batches", batches)))
    for name in ("a.npz", "b.tar.gz"):
        (tmp_path / name).write_bytes(b"broken")
        with pytest.raises(UserError, match=name):
            list(layouts.find_layouts("mnist" if name == "a.npz" else "cifar10", tmp_path / name))


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


def test_a_pickle_runs_nothing(tmp_path):
    batches = official_layouts.pickled(small((32, 32, 3), [10]), CLASSES)
    target = tmp_path / "has-run"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        batches["test_batch"] = pickle.dumps({b"data": [Bomb(target)]}, protocol)
        with pytest.raises(UserError, match=r"test_batch holds \w+\.open, which could run code"):
            layouts.find_layouts("cifar10", official_layouts.write(tmp_path / "batches", batches))
    assert not target.exists()
    batches["test_batch"] = pickle.dumps([1, 2])[:-3]
    with pytest.raises(UserError, match="batches holds no whole cifar10"):
        layouts.find_layouts("cifar10", official_layouts.write(tmp_path / "batches", batches))
