"""What a run was trained and tested on, in its `data.json`: how many images, and digests that tell a change."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxae import files
from jaxae.data.records import Records
from jaxae.data.stream import Stream
from jaxae.errors import UserError

FILE = "data.json"
Images = UInt8[np.ndarray, "n h w c"]
TestImages = UInt8[np.ndarray, "m h w c"]


class TrainedOn(NamedTuple):
    """How many images, and SHA-256 digests, in hex, of all that they hold in their order.

    None is the digest of images that no memory holds at once: of these only the number is compared.
    """

    train: int
    test: int
    train_digest: str | None
    test_digest: str


def take_down(train_images: Images | Stream, test_images: TestImages) -> TrainedOn:
    """The record of the images that are trained and tested on."""
    train = train_images.source if isinstance(train_images, Stream) else train_images
    return TrainedOn(len(train), len(test_images), _digest(train), _digest(test_images))


def _digest(images: Images | Records) -> str | None:
    if isinstance(images, Records):
        return None
    sha = hashlib.sha256(f"{images.shape}\n".encode())
    sha.update(np.ascontiguousarray(images))
    return sha.hexdigest()


def write(run_dir: Path, record: TrainedOn) -> None:
    """Put `record` into `run_dir`."""
    files.write_json(run_dir / FILE, record._asdict())


def read(run_dir: Path) -> TrainedOn | None:
    """The record of the run in `run_dir`; None where it has none. Raises UserError where that is damaged."""
    path = run_dir / FILE
    if not path.exists():
        return None
    try:
        record = TrainedOn(**json.loads(path.read_bytes()))
        kinds = zip(record, (int, int, str | None, str), strict=True)
        if not all(isinstance(value, kind) for value, kind in kinds):
            raise ValueError("its fields are of other types")
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}; remove it to do without") from error
    return record


def changed(before: TrainedOn, now: TrainedOn) -> str | None:
    """What sets the images `now` apart from those `before`, in words; None where they are the same."""
    if (before.train, before.test) != (now.train, now.test):
        return f"{before.train:,} training and {before.test:,} test images, now {now.train:,} and {now.test:,}"
    if before.test_digest != now.test_digest:
        return "as many test images, but others"
    if None not in (before.train_digest, now.train_digest) and before.train_digest != now.train_digest:
        return "as many training images, but others"
    return None
