"""The split of the files of a folder into training and test files, and the class of each."""

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int8, Int64

TEST_PART = 0.1
# Names of folders that are a split by themselves, in any case.
TRAIN, TEST, HELD_OUT = ("train", "training"), ("test", "testing"), ("val", "valid", "validation")


class FileSplit(NamedTuple):
    """The split of a list of files.

    Attributes:
        test: 1 for a test file, 0 for a training file, -1 for neither.
        labels: The classes, numbered in alphabetic order; -1 for files of neither split.
        described: How the files were split.
        left_out: Which files are in neither split; empty if none are.
    """

    test: Int8[np.ndarray, " n"]
    labels: Int64[np.ndarray, " n"] | None
    described: str
    left_out: str


def path_hash(name: Path) -> int:
    """64 bits that depend on a path within the folder alone, the same on every system."""
    return int.from_bytes(hashlib.sha256(os.fsencode(name.as_posix())).digest()[:8], "big")


def split_files(names: list[Path], listed: list[Path] | None = None) -> FileSplit:
    """Split the files `names`, which are paths within their folder.

    If the folder has a subfolder `train` and one called `test` or `val` (or training, testing, valid, validation, in
    any case), these are the two splits; beside `test`, `val` is in neither, and nor are other files. Otherwise about
    one file in ten, chosen by the hash of its path, is a test file, so new files never move old ones.

    The classes are the subfolders, or those of the two splits, if every file is in one and there are two or more.

    Args:
        names: The files to split.
        listed: All files of the folder, which tell its subfolders; by default `names`.
    """
    tops = [name.parts[0] if len(name.parts) > 1 else "" for name in names]
    lower = {name.parts[0].lower() for name in listed or names if len(name.parts) > 1}
    held = next((group for group in (TEST, HELD_OUT) if lower & set(group)), ())
    if not held or not lower & set(TRAIN):
        fractions = np.array([path_hash(name) / 2**64 for name in names])
        # Move the threshold where one side would stay empty.
        threshold = min(max(TEST_PART, fractions.min()), np.nextafter(fractions.max(), 0))
        test = (fractions <= threshold).astype(np.int8)
        said = f"split by the files' names, about one in ten to test: {test.sum():,} of {len(names):,}"
        return FileSplit(test, _labels(names, test, 0), said, "")
    test = np.array([1 if top.lower() in held else 0 if top.lower() in TRAIN else -1 for top in tops], np.int8)

    def count(side: int) -> str:
        counts = Counter(top for top, at in zip(tops, test, strict=True) if at == side)
        return ", ".join(f"{n:,} in {top}/" if top else f"{n:,} beside them" for top, n in counts.items()) or "none"

    said = f"split by its own folders: {count(0)} to train, {count(1)} to test"
    left_out = f"neither to train nor to test: {count(-1)}" if -1 in test else ""
    return FileSplit(test, _labels(names, test, 1), said, left_out)


def _labels(names: list[Path], test: Int8[np.ndarray, " n"], depth: int) -> Int64[np.ndarray, " n"] | None:
    """Number the folders at `depth` in which the files of either side are."""
    folders = ["".join(name.parts[depth:-1][:1]) if side >= 0 else None for name, side in zip(names, test, strict=True)]
    classes = sorted({folder for folder in folders if folder is not None})
    if "" in classes or len(classes) < 2:
        return None
    return np.array([-1 if folder is None else classes.index(folder) for folder in folders], np.int64)
