"""Official data sets in the forms in which they lie on disks: the official files, unpacked or packed again, and what
torchvision, Keras and Kaggle make of them.

What makes a data set official is what it holds: see `content`.
"""

import gzip
import hashlib
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxae.data import pickles
from jaxae.errors import UserError

DEPTH = 4  # folders below the one that is named
LARGEST = 2**28  # bytes of a file that is taken for part of such a data set
SIDE, PIXELS = 28, 32 * 32 * 3
RANKS = {3: "images", 1: "labels"}  # of the arrays in MNIST's files

Files = Mapping[str, Callable[[], bytes]]  # the files of a folder or an archive, by name, to be read when asked for


class Split(NamedTuple):
    """Images, and their labels: one number for each, or for CIFAR-100 the coarse and the fine one."""

    images: UInt8[np.ndarray, "n height width channels"]
    labels: UInt8[np.ndarray, "n kinds"]


class Found(NamedTuple):
    """A data set in a folder, an archive or a file; `classes` are the names of each kind of label, where given."""

    where: Path
    splits: dict[str, Split]
    classes: list[list[str]]


def content(split: Split) -> str:
    """SHA-256, in hex, of what a split holds: over the sorted digests of its images, each with its labels.

    So neither the wrapping nor the order of the images counts.
    """
    rows = np.concatenate([split.images.reshape(len(split.images), -1), split.labels], axis=1)
    return hashlib.sha256(b"".join(sorted(hashlib.sha256(row).digest() for row in rows))).hexdigest()


def find(name: str, path: Path) -> list[Found]:
    """Every data set of the form of the official `name` in the folder, at whatever level, or in the file `path`.

    Raises UserError where there is none but one that is begun or broken.
    """
    read = {"cifar10": _cifar, "cifar100": _cifar}.get(name, _idx)
    if path.is_file():
        return [found for found in [_in_file(read, name, path)] if found is not None]
    tries: list[Callable[[], Found | None]] = []
    for folder in folders(path):
        files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.stat().st_size <= LARGEST]
        packed = [file for file in files if file.name.endswith((".npz", ".tar.gz", ".tgz", ".tar"))]
        tries += [partial(_in_file, read, name, file) for file in packed]
        # Kaggle's folders are called as the one file in each
        inside = [file for child in sorted(folder.glob("*ubyte")) if child.is_dir() for file in child.iterdir()]
        tries.append(partial(read, name, folder, {file.name: file.read_bytes for file in [*inside, *files]}))
    found, broken = [], []
    for attempt in tries:
        try:
            found.append(attempt())
        except UserError as error:  # what else lies there may be another program's
            broken.append(error)
    found = [each for each in found if each is not None]
    if broken and not found:
        raise broken[0]
    return found


def folders(path: Path, depth: int = DEPTH) -> Iterator[Path]:
    """The folder `path` and those below it, hidden ones left out, and Kaggle's that are files in all but name."""
    yield path
    if depth:
        for child in sorted(path.iterdir()):
            if child.is_dir() and not child.name.startswith(".") and not child.name.endswith("ubyte"):
                yield from folders(child, depth - 1)


def _in_file(read: Callable, name: str, path: Path) -> Found | None:
    if path.suffix == ".npz":
        return _keras(path) if read is _idx else None
    if path.name.endswith((".tar.gz", ".tgz", ".tar")):
        return read(name, path, _members(path)) if read is _cifar else None
    return None


def _members(path: Path) -> Files:
    """The regular files of a tar archive, by their last name."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and member.size <= LARGEST:
                    found[Path(member.name).name] = archive.extractfile(member).read()
    except (EOFError, OSError, tarfile.TarError, zlib.error) as error:
        raise UserError(f"{path} is truncated or no tar file ({error}); fetch it again") from error
    return {name: (lambda data=data: data) for name, data in found.items()}


def read_archive(name: str, path: Path) -> Found:
    """The data set in the official archive of CIFAR-10 or CIFAR-100. Raises UserError where it is none."""
    found = _cifar(name, path, _members(path))
    if found is None:
        raise UserError(f"{path} holds none of the files of {name}; fetch it again")
    return found


def read_idx_files(where: Path, files: Files) -> Found | None:
    """What four files of MNIST's format hold, where there are any. Raises UserError where they do not fit together."""
    return _idx("", where, files)


def _idx(_: str, where: Path, files: Files) -> Found | None:
    """MNIST's format: four files, gzipped or not, whose names say to which split they belong."""
    arrays: dict[str, np.ndarray] = {}
    for name, read in files.items():
        if "ubyte" not in name:
            continue
        array = read_idx(read(), f"{where / name}")
        split = "train" if name.startswith("train") else "test"
        role = f"{split} {RANKS.get(array.ndim, f'array of {array.ndim} axes')}"
        if role in arrays and not np.array_equal(arrays[role], array):
            raise UserError(f"{where} holds two different files of {role}: name the folder that is meant")
        arrays[role] = array
    if not arrays:
        return None
    roles = {split: [f"{split} {what}" for what in RANKS.values()] for split in ("train", "test")}
    if missing := [role for both in roles.values() for role in both if role not in arrays]:
        raise UserError(f"{where} lacks the {missing[0]}: four files belong together, of images and labels")
    return Found(where, {split: _split(where, *(arrays[role] for role in both)) for split, both in roles.items()}, [])


def read_idx(data: bytes, where: str) -> UInt8[np.ndarray, "..."]:
    """The array in an idx file of unsigned bytes, gzipped or not: http://yann.lecun.com/exdb/mnist/.

    Header: two zero bytes, the type code, the rank, then one big-endian uint32 per axis. UserError if it is no such
    file or ends early.
    """
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UserError(f"{where} is truncated or no gzip file ({error}); fetch it again") from error
    rank = data[3] if len(data) >= 4 else 0
    shape = np.frombuffer(data[4 : 4 + 4 * rank].ljust(4 * rank, b"\0"), ">u4").astype(int).tolist()
    pixels, count = data[4 + 4 * rank :], 1
    for length in shape:
        count *= length
    if data[:3] != bytes((0, 0, 8)) or len(pixels) != count or not count:
        raise UserError(f"{where} is not an idx file of unsigned bytes with as many bytes as its header says")
    return np.frombuffer(pixels, np.uint8).reshape(shape)


def _split(where: Path, images: np.ndarray, labels: np.ndarray) -> Split:
    if images.shape[1:] != (SIDE, SIDE) or labels.shape != images.shape[:1] or labels.max(initial=0) > 9:
        raise UserError(f"{where} holds arrays of {images.shape} and {labels.shape}, not images of 28×28 in 10 classes")
    return Split(images[..., None], labels[:, None])


def _keras(path: Path) -> Found | None:
    """Keras's `mnist.npz`."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if not {"x_train", "y_train", "x_test", "y_test"} <= set(arrays.files):
                return None
            pairs = {split: (arrays[f"x_{split}"], arrays[f"y_{split}"]) for split in ("train", "test")}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is no whole .npz file of arrays ({error}); fetch it again") from error
    for images, labels in pairs.values():
        if images.dtype != np.uint8:
            raise UserError(f"{path} holds {images.dtype} where the official data set has bytes")
        if labels.dtype.kind not in "iu" or labels.min(initial=0) < 0 or labels.max(initial=0) > 9:
            raise UserError(f"{path} holds labels of {labels.dtype} that are not all numbers from 0 to 9")
    return Found(path, {split: _split(path, x, y.astype(np.uint8)) for split, (x, y) in pairs.items()}, [])


def _cifar(name: str, where: Path, files: Files) -> Found | None:
    """CIFAR's binary files, or Python's."""
    if name == "cifar10":
        parts = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}
        keys, meta, texts = [b"labels"], "batches.meta", [(b"label_names", "batches.meta.txt")]
    else:
        parts, keys, meta = {"train": ["train"], "test": ["test"]}, [b"coarse_labels", b"fine_labels"], "meta"
        texts = [(b"coarse_label_names", "coarse_label_names.txt"), (b"fine_label_names", "fine_label_names.txt")]
    names = [part for split in parts.values() for part in split]
    for suffix in (".bin", ""):
        there = [part for part in names if f"{part}{suffix}" in files]
        own = [text for _, text in texts] if suffix else [meta]
        if not there or (not suffix and meta not in files):  # a folder called train says little
            continue
        if missing := [file for file in [*(f"{part}{suffix}" for part in names), *own] if file not in files]:
            raise UserError(f"{where} lacks {missing[0]}, which belongs to {name}")
        contents = {split: {part: files[part + suffix]() for part in group} for split, group in parts.items()}
        try:
            if suffix:
                read = partial(_records, where, len(keys))
                classes = [files[text]().decode().split() for text in own]
            else:
                read = partial(_batches, where, keys)
                said = pickles.read(files[meta](), f"{where / meta}")
                classes = [[label.decode() for label in _entry(said, key, where / meta)] for key, _ in texts]
            return Found(where, {split: read(group) for split, group in contents.items()}, classes)
        except (ValueError, TypeError, AttributeError, OverflowError) as error:  # of labels that are none
            raise UserError(f"{where} does not hold what the official files of {name} do ({error})") from error
    return None


def _records(where: Path, kinds: int, contents: Mapping[str, bytes]) -> Split:
    data = b"".join(contents.values())
    if not data or len(data) % (kinds + PIXELS):
        raise UserError(f"{where}: {len(data)} bytes are no whole number of records; fetch it again")
    records = np.frombuffer(data, np.uint8).reshape(-1, kinds + PIXELS)
    return Split(_planes(records[:, kinds:]), records[:, :kinds])


def _batches(where: Path, keys: list[bytes], contents: Mapping[str, bytes]) -> Split:
    images, labels = [], []
    for name, data in contents.items():
        batch = pickles.read(data, f"{where / name}")
        pixels, numbers = _entry(batch, b"data", where / name), [_entry(batch, key, where / name) for key in keys]
        whole = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.shape[1:] == (PIXELS,)
        if not whole or any(len(column) != len(pixels) for column in numbers):
            raise UserError(f"{where / name} does not hold rows of {PIXELS} bytes with a label each")
        images.append(pixels)
        labels.append(np.array(numbers, np.uint8).T)
    return Split(_planes(np.concatenate(images)), np.concatenate(labels))


def _entry(said: object, key: bytes, where: Path) -> Any:
    if not isinstance(said, dict) or key not in said or not hasattr(said[key], "__len__"):
        raise UserError(f"{where} has no {key.decode()}: it is not the official file")
    return said[key]


def _planes(rows: np.ndarray) -> np.ndarray:
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
