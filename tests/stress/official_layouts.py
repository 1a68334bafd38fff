"""Official data in the forms in which other programs leave it, made from arrays.

    python -m tests.stress.official_layouts DATA

makes all of them of the real data, and prints the table of docs/official.md.
"""

import gzip
import io
import pickle
import struct
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxae.data import layouts
from jaxae.data.layouts import LabeledImages
from tests.data.loading import load, load_labels

MNIST_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
Splits = dict[str, LabeledImages]


def as_idx(array: np.ndarray) -> bytes:
    """The content of an idx file."""
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def idx_files(splits: Splits) -> dict[str, bytes]:
    """MNIST's four files, unpacked, by name."""
    arrays = {}
    for split, (images, labels) in MNIST_FILES.items():
        arrays |= {images: splits[split].images[..., 0], labels: splits[split].labels[:, 0]}
    return {name: as_idx(array) for name, array in arrays.items()}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Write `files` below `folder`."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def npz(splits: Splits, path: Path) -> Path:
    """Keras's file."""
    pairs = {split: (splits[split].images[..., 0], splits[split].labels[:, 0]) for split in splits}
    np.savez(path, **{f"{what}_{split}": pair[n] for split, pair in pairs.items() for n, what in enumerate("xy")})
    return path


STRAYS = ("", 1), (".part", 2), (".sha256", 50), (".gz.crdownload", 3)  # what ends the names of files, cut to a part


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    """A zip archive of `files`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


MNIST: dict[str, Callable[[Splits, Path], Path]] = {
    "the four files, packed again": lambda splits, place: write(
        place, {f"{name}.gz": gzip.compress(data, 1, mtime=1) for name, data in idx_files(splits).items()}
    ),
    "the four files, unpacked": lambda splits, place: write(place, idx_files(splits)),
    "torchvision's `data/`": lambda splits, place: write(place / "MNIST" / "raw", idx_files(splits)).parent.parent,
    "torchvision's `data/MNIST/`": lambda splits, place: write(place / "MNIST" / "raw", idx_files(splits)).parent,
    "Kaggle's `train-images.idx3-ubyte` …": lambda splits, place: write(
        place, {name.replace("-idx", ".idx"): data for name, data in idx_files(splits).items()}
    ),
    "Kaggle's folders of these names": lambda splits, place: write(
        place, {f"{name.replace('-idx', '.idx')}/{name}": data for name, data in idx_files(splits).items()}
    ),
    "the four files beside strays": lambda splits, place: write(
        place,
        {f"{name}{end}": data[: len(data) // cut] for name, data in idx_files(splits).items() for end, cut in STRAYS}
        | {f"._{name}": b"\0\5\x16\7" for name in idx_files(splits)},
    ),
    "`MNIST.tar.gz`": lambda splits, place: tar(place / "MNIST.tar.gz", idx_files(splits), "MNIST/raw"),
    "Kaggle's `archive.zip`": lambda splits, place: zipped(
        place / "archive.zip",
        {f"{name.replace('-idx', '.idx')}/{name}": data for name, data in idx_files(splits).items()} | {"a.md": b"?"},
    ),
    "Keras's `mnist.npz`": lambda splits, place: npz(splits, place / "mnist.npz"),
}


def records(split: LabeledImages) -> np.ndarray:
    """CIFAR's binary records."""
    planes = split.images.transpose(0, 3, 1, 2).reshape(len(split.images), -1)
    return np.concatenate([split.labels, planes], axis=1)


def binary(splits: Splits, classes: list[list[str]]) -> dict[str, bytes]:
    """CIFAR's binary files, by name."""
    texts = ["\n".join(names).encode() + b"\n\n" for names in classes]
    if len(classes) == 2:
        files = {f"{split}.bin": records(splits[split]).tobytes() for split in splits}
        return files | dict(zip(("coarse_label_names.txt", "fine_label_names.txt"), texts, strict=True))
    parts = np.array_split(records(splits["train"]), 5)
    files = {f"data_batch_{number}.bin": part.tobytes() for number, part in enumerate(parts, 1)}
    return files | {"test_batch.bin": records(splits["test"]).tobytes(), "batches.meta.txt": texts[0]}


def pickled(splits: Splits, classes: list[list[str]]) -> dict[str, bytes]:
    """CIFAR's files for Python, by name, pickled as Python 2 did: text is bytes."""
    keys = [b"coarse_labels", b"fine_labels"] if len(classes) == 2 else [b"labels"]

    def batch(rows: np.ndarray) -> bytes:
        kinds = len(keys)
        labels = {key: rows[:, number].tolist() for number, key in enumerate(keys)}
        return pickle.dumps({b"data": rows[:, kinds:], b"batch_label": b"a batch", **labels}, protocol=2)

    named = zip([key.replace(b"labels", b"label_names") for key in keys], classes, strict=True)
    meta = pickle.dumps({key: [name.encode() for name in names] for key, names in named}, protocol=2)
    if len(classes) == 2:
        return {split: batch(records(splits[split])) for split in splits} | {"meta": meta}
    parts = np.array_split(records(splits["train"]), 5)
    files = {f"data_batch_{number}": batch(part) for number, part in enumerate(parts, 1)}
    return files | {"test_batch": batch(records(splits["test"])), "batches.meta": meta}


def tar(path: Path, files: dict[str, bytes], folder: str) -> Path:
    """A gzipped archive of `files` in a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def cifar(splits: Splits, classes: list[list[str]]) -> dict[str, Callable[[Path], Path]]:
    """CIFAR's forms."""
    name = "cifar-100" if len(classes) == 2 else "cifar-10"
    batches = f"{name}-batches" if len(classes) == 1 else name
    return {
        f"`{name}-binary.tar.gz`": lambda place: tar(
            place / f"{name}-binary.tar.gz", binary(splits, classes), f"{batches}-bin"
        ),
        f"`{batches}-bin/`": lambda place: write(place / f"{batches}-bin", binary(splits, classes)),
        f"`{name}-python.tar.gz`": lambda place: tar(
            place / f"{name}-python.tar.gz", pickled(splits, classes), f"{batches}-py"
        ),
        f"torchvision's `data/` with `{batches}-py/`": lambda place: (
            write(place / "data" / f"{batches}-py", pickled(splits, classes)).parent
        ),
    }


def real_mnist(data: Path) -> Splits:
    """From the official files."""
    [found] = layouts.find_layouts("mnist", data / "mnist")
    return found.splits


def real_cifar10(data: Path) -> Splits:
    """From the data set as TFDS has prepared it."""
    place = data / "tensorflow_datasets"
    labels = {split: load_labels("cifar10", split, place).astype(np.uint8)[:, None] for split in ("train", "test")}
    return {split: LabeledImages(load("cifar10", split, place), labels[split]) for split in labels}


def main() -> None:
    """Print the table."""
    data = Path(sys.argv[1])
    mnist, images = real_mnist(data), real_cifar10(data)
    made = {form: ("mnist", lambda place, make=make: make(mnist, place)) for form, make in MNIST.items()}
    made |= {form: ("cifar10", make) for form, make in cifar(images, [[f"class{n}" for n in range(10)]]).items()}
    print("| form | data set | SHA-256 of the training split | of the test split |\n|---|---|---|---|")
    for form, (name, make) in made.items():
        with tempfile.TemporaryDirectory() as place:
            [found] = layouts.find_layouts(name, make(Path(place)))
            digests = [layouts.content_digest(found.splits[split])[:16] for split in ("train", "test")]
        print(f"| {form} | `{name}` | `{digests[0]}…` | `{digests[1]}…` |")


if __name__ == "__main__":
    main()
