"""Official data sets in every form that is common on disks.

These are the official files, unpacked or packed again, and the files of torchvision, Keras and Kaggle. A data set is
official if its content is: see `content_digest`.
"""

import gzip
import hashlib
import itertools
import re
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxae.data import pickles
from jaxae.errors import UserError

LARGEST = 2**28  # bytes of a file that is taken for part of such a data set
ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip")
SPLITS = ("train", "test")
PIXELS = 32 * 32 * 3
# CIFAR's parts of each split, its files with the names of classes, binary and pickled, and what precedes "labels" there
BATCHES = {"train": [f"data_batch_{n}" for n in range(1, 6)], "test": ["test_batch"]}
NAMES_100 = {".bin": ["coarse_label_names.txt", "fine_label_names.txt"], "": ["meta"]}
CIFAR = {
    "cifar10": (BATCHES, {".bin": ["batches.meta.txt"], "": ["batches.meta"]}, [""]),
    "cifar100": ({"train": ["train"], "test": ["test"]}, NAMES_100, ["coarse_", "fine_"]),
}

IDX = re.compile(r"(train|t10k|test)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")  # MNIST's files

Files = dict[str, Path]  # the files of a folder, by name


class LabeledImages(NamedTuple):
    """The images of a split, with one label each, or for CIFAR-100 a coarse and a fine one."""

    images: UInt8[np.ndarray, "n height width channels"]
    labels: UInt8[np.ndarray, "n kinds"]


Decoded = tuple[dict[str, LabeledImages], list[list[str]]]  # the splits and the names of classes of `OfficialData`


class OfficialData(NamedTuple):
    """A data set in one of the forms.

    Attributes:
        splits: The images and labels of "train" and "test".
        classes: The names of the classes of each kind of label; empty if the files do not hold them.
        where: The file or folder that holds the data set.
    """

    splits: dict[str, LabeledImages]
    classes: list[list[str]]
    where: Path


def content_digest(split: LabeledImages) -> str:
    """SHA-256, in hex, of the sorted digests of all images with their labels: neither format nor order counts."""
    rows = np.concatenate([split.images.reshape(len(split.images), -1), split.labels], axis=1)
    return hashlib.sha256(b"".join(sorted(hashlib.sha256(row).digest() for row in rows))).hexdigest()


def find_layouts(name: str, path: Path) -> list[OfficialData]:
    """Every data set of the form of the official `name` in the file `path`, or in the folder and those below it.

    Raises:
        UserError: There are only broken or incomplete ones.
    """
    found, broken = [], []
    for place in [path] if path.is_file() else _places(path):
        try:
            if place.name.endswith(ARCHIVES) and place.is_file():
                with tempfile.TemporaryDirectory() as folder:
                    shutil.unpack_archive(place, folder, filter=None if place.suffix == ".zip" else "data")
                    found += [each._replace(where=place) for each in find_layouts(name, Path(folder))]
            elif splits_and_classes := _read(name, place):
                found.append(OfficialData(*splits_and_classes, place))
        except Exception as error:  # readers raise errors of any type on broken files, or on those of other programs
            said = str(error) or type(error).__name__
            broken.append(UserError(f"{place} holds no whole {name} ({said}); fetch it again"))
    if broken and not found:
        raise broken[0]
    return found


def _places(folder: Path) -> list[Path]:
    """The folder, and all files and folders in it and below. Hidden ones are left out."""
    inside = [path for path in sorted(folder.rglob("*")) if "/." not in f"/{path.relative_to(folder)}"]
    return [folder, *(path for path in inside if path.is_dir() or (path.is_file() and path.stat().st_size <= LARGEST))]


def _read(name: str, place: Path) -> Decoded | None:
    """The data set in a file, or in the files of a folder; None if there are no files of that data set."""
    if place.is_dir():
        # Kaggle's folders have the name of the one file in each.
        files = {path.name: path for path in [*place.glob("*ubyte/*"), *place.iterdir()] if path.is_file()}
        return _cifar(name, files) if name in CIFAR else _mnist(files)
    if name not in CIFAR and place.suffix == ".npz":  # Keras's
        with np.load(place, allow_pickle=False) as arrays:
            if {"x_train", "y_train", "x_test", "y_test"} <= set(arrays.files):
                return _labeled({split: (arrays[f"x_{split}"], arrays[f"y_{split}"]) for split in SPLITS})
    return None


def _mnist(files: Files) -> Decoded | None:
    """MNIST's format: four files, gzipped or not, whose names begin with that of their split."""
    arrays: dict[tuple[str, int], np.ndarray] = {}
    for file, path in files.items():
        if IDX.fullmatch(file):  # and not `._train…`, `….part` or `….sha256`
            array = read_idx(path.read_bytes(), file)
            role = ("train" if file.startswith("train") else "test", array.ndim)
            if not np.array_equal(arrays.setdefault(role, array), array):
                raise ValueError(f"there are two different files like {file}")
    if not arrays:
        return None
    for split, (rank, what) in itertools.product(SPLITS, ((3, "images"), (1, "labels"))):
        if (split, rank) not in arrays:
            raise ValueError(f"it lacks the {split} {what}: four files belong together")
    return _labeled({split: (arrays[split, 3], arrays[split, 1]) for split in SPLITS})


def read_idx(data: bytes, file: str) -> UInt8[np.ndarray, "..."]:
    """The array in an idx file of unsigned bytes, gzipped or not: http://yann.lecun.com/exdb/mnist/.

    The header is two zero bytes, the type code, the rank, then one big-endian uint32 per axis.

    Args:
        data: The content of the file.
        file: Its name, for errors.

    Raises:
        ValueError: It is no such file, or cut off.
    """
    try:
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        if data[:3] != b"\0\0\x08":
            raise ValueError("its header is another one")
        shape = np.frombuffer(data, ">u4", data[3], offset=4)
        return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)
    except Exception as error:  # whatever gzip and NumPy make of broken bytes
        raise ValueError(f"{file} is not an idx file of unsigned bytes, or cut off: {error}") from error


def _labeled(arrays: dict[str, tuple[np.ndarray, np.ndarray]]) -> Decoded:
    """Images of MNIST's form [n, 28, 28], and their labels, by split."""
    splits = {}
    for split, (images, labels) in arrays.items():
        fit = images.dtype == np.uint8 and images.shape[1:] == (28, 28) and labels.shape == images.shape[:1]
        if not fit or labels.dtype.kind not in "iu" or not np.isin(labels, range(10)).all():
            found = f"{images.dtype} of {images.shape} and {labels.dtype} of {labels.shape}"
            raise ValueError(f"{found}, not bytes of 28×28 and labels from 0 to 9")
        splits[split] = LabeledImages(images[..., None], labels.astype(np.uint8)[:, None])
    return splits, []


def _cifar(name: str, files: Files) -> Decoded | None:
    """CIFAR's binary files, or Python's: both hold rows of labels and pixels."""
    parts, names, kinds = CIFAR[name]
    suffix = next((suffix for suffix, own in names.items() if own[0] in files), None)
    if suffix is None:
        return None
    for file in [*names[suffix], *(part + suffix for split in SPLITS for part in parts[split])]:
        if file not in files:
            raise ValueError(f"it lacks {file}")

    def read_rows(part: str) -> np.ndarray:
        content = files[part + suffix].read_bytes()
        if suffix:
            return np.frombuffer(content, np.uint8).reshape(-1, len(kinds) + PIXELS)
        batch = pickles.load_pickle(content, part)
        labels = np.array([batch[f"{kind}labels".encode()] for kind in kinds], np.uint8)
        return np.concatenate([labels.T, batch[b"data"]], axis=1)

    splits = {}
    for split in SPLITS:
        rows = np.concatenate([read_rows(part) for part in parts[split]])
        if rows.dtype != np.uint8:
            raise ValueError(f"its pixels are {rows.dtype}, not bytes")
        images = rows[:, len(kinds) :].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        splits[split] = LabeledImages(images, rows[:, : len(kinds)])
    if suffix:
        return splits, [files[file].read_text(encoding="utf-8").split() for file in names[suffix]]
    meta = pickles.load_pickle(files[names[""][0]].read_bytes(), names[""][0])
    return splits, [[label.decode() for label in meta[f"{kind}label_names".encode()]] for kind in kinds]
