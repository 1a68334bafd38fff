"""The fingerprint of a run's data, its `data.json`, which tells whether the data has changed since."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from jaxae import files
from jaxae.data.images import Images

FILE = "data.json"


@dataclass(frozen=True)
class Fingerprint:
    """The numbers of images, and digests of their pixels in order.

    A digest is None for images that do not fit the memory of the host; only their number is compared.

    Attributes:
        train: the number of training images.
        test: the number of test images.
        train_digest: the SHA-256 of the training images, in hex.
        test_digest: the SHA-256 of the test images, in hex.
    """

    train: int
    test: int
    train_digest: str | None
    test_digest: str


def take_fingerprint(train: Images, test: Images) -> Fingerprint:
    """Return the fingerprint of the images that are trained and tested on."""
    return Fingerprint(train.count, test.count, _digest(train), _digest(test) or "")


def _digest(images: Images) -> str | None:
    arrays = [array for array in images if array is not None]
    if not all(isinstance(array, np.ndarray) for array in arrays):
        return None
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.shape}\n".encode())
        sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()


def write_fingerprint(run_dir: Path, record: Fingerprint) -> None:
    """Write `record` into `run_dir`."""
    files.write_json(run_dir / FILE, asdict(record))


def read_fingerprint(run_dir: Path) -> Fingerprint | None:
    """Return the fingerprint of the run in `run_dir`, or None if it has none.

    Raises:
        UserError: if the file is damaged.
    """
    path = run_dir / FILE
    return files.read_json(path, Fingerprint, "delete it to go on without") if path.exists() else None


def describe_change(before: Fingerprint, now: Fingerprint) -> str | None:
    """Return what has changed as text; None if nothing has."""
    if (before.train, before.test) != (now.train, now.test):
        return f"{before.train:,} training and {before.test:,} test images, now {now.train:,} and {now.test:,}"
    if before.test_digest != now.test_digest:
        return "as many test images, but others"
    if None not in (before.train_digest, now.train_digest) and before.train_digest != now.train_digest:
        return "as many training images, but others"
    return None
