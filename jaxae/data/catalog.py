"""Data sets by name: what a name stands for, and its images and labels."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from jaxae.data import folder, pairs, reader, records
from jaxae.data.pictures.scientific import Limits, parse_range
from jaxae.data.places import find
from jaxae.data.preparation import prepare
from jaxae.errors import UserError


class Resolved(NamedTuple):
    """The data set that will be used, and one sentence to show the user where it is not the one asked for."""

    name: str
    reason: str | None


def load(
    name: str,
    split: str,
    data_dir: Path | None = None,
    shape: tuple[int, int, int] = (32, 32, 3),
    limits: Limits | None = None,
    as_they_are: bool = False,
) -> UInt8[np.ndarray, "n height width channels"]:
    """The images of a split ("train" or "test"), prepared first if need be; values 0 to 255.

    `data_dir` is a TFDS data directory (default: see `default_data_dir`). `shape` is what the images of `folder:PATH`
    are cut and resized to, or where they are to stay `as_they_are` only cut, as those of `pairs:NOISY,CLEAN` always are
    (which have twice its channels, see `halves`); other data sets keep theirs. `limits` are black and white of the
    floating-point pictures in such folders, by default 0 and 1. UserError where the data set is unknown or cannot be
    prepared, has no such split, or holds no images of one size.
    """
    if are_pictures(name):
        return _load_pictures(name, split, shape, limits, as_they_are)[0]
    return reader.read_images(ensure(name, data_dir), split)


def load_labels(
    name: str,
    split: str,
    data_dir: Path | None = None,
    shape: tuple[int, int, int] = (32, 32, 3),
    limits: Limits | None = None,
    as_they_are: bool = False,
) -> Int[np.ndarray, " n"] | None:
    """The class labels that belong to `load`'s images, or None where the data set has none. Arguments as `load`."""
    if are_pictures(name):
        return _load_pictures(name, split, shape, limits, as_they_are)[1]
    return reader.read_labels(ensure(name, data_dir), split)


def count_bytes(
    name: str,
    split: str,
    data_dir: Path | None = None,
    shape: tuple[int, int, int] = (32, 32, 3),
    limits: Limits | None = None,
    as_they_are: bool = False,
) -> int:
    """About what `load` would take in memory. Arguments and errors as for `load`."""
    if are_pictures(name):
        return load(name, split, data_dir, shape, limits, as_they_are).nbytes
    return records.count_bytes(ensure(name, data_dir), split)


def resolve(name: str, data_dir: Path | None = None, *, fallback: str = "digits", wanted: str = "mnist") -> Resolved:
    """What `name` stands for, prepared and ready to load.

    `auto` is `wanted` where it is prepared or can be downloaded now, else the embedded `fallback` with the reason. Any
    other name stands for itself; UserError where it cannot be had.
    """
    if name != "auto":
        ensure(name, data_dir)
        return Resolved(name, None)
    try:
        ensure(wanted, data_dir)
    except UserError as error:
        ensure(fallback, data_dir)
        return Resolved(fallback, str(error))
    return Resolved(wanted, None)


def limits(name: str, given: str | None) -> Limits | None:
    """Black and white as --data.range is `given` for the data set `name`, LOW,HIGH; None where it is not.

    Raises UserError for what is no such range, and for a data set whose images are all bytes.
    """
    found = parse_range(given)
    if found is not None and not are_pictures(name):
        raise UserError(
            f"--data.range {given} is of floating-point pictures in a folder, and {name} holds bytes: leave it out"
        )
    return found


def describe(name: str) -> str | None:
    """How a person's own pictures are split, in a sentence; None for a data set whose splits are its makers'."""
    if are_pairs(name):
        return pairs.describe(name)
    return folder.describe(name) if are_pictures(name) else None


def are_pictures(name: str) -> bool:
    """Whether the data set is a person's own pictures, `folder:PATH` or `pairs:NOISY,CLEAN`."""
    return name.startswith((folder.PREFIX, pairs.PREFIX))


def are_pairs(name: str) -> bool:
    """Whether the data set is `pairs:NOISY,CLEAN`."""
    return name.startswith(pairs.PREFIX)


def absolute(name: str) -> str:
    """`name` with its folders, if it names such, so that it can be used from elsewhere."""
    kind, colon, paths = name.partition(":")
    if not are_pictures(name):
        return name
    return kind + colon + ",".join(os.path.abspath(os.path.expanduser(path)) for path in paths.split(","))


def _load_pictures(
    name: str, split: str, shape: tuple[int, int, int], limits: Limits | None, as_they_are: bool
) -> tuple[UInt8[np.ndarray, "n height width channels"], Int[np.ndarray, " n"] | None]:
    if are_pairs(name):
        return pairs.load_pairs(name, split, shape, limits)
    return folder.load_folder(name, split, shape, limits=limits, as_they_are=as_they_are)


def ensure(name: str, data_dir: Path | None = None) -> Path:
    """The directory of the prepared data set `name`, which is prepared first if need be. Errors as `prepare`.

    For `folder:PATH` it is PATH, for `pairs:NOISY,CLEAN` NOISY; UserError if there are no two images in it.
    """
    if are_pairs(name):
        return pairs.find(name).noisy
    if are_pictures(name):
        return folder.find_images(name)[0]
    return find(name, data_dir) or prepare(name, data_dir)
