"""Which files of a folder are for training and which for testing, and what class each belongs to."""

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


class Split(NamedTuple):
    """The split of a list of files."""

    test: Int8[np.ndarray, " n"]  # 1 for testing, 0 for training, -1 for neither
    labels: Int64[np.ndarray, " n"] | None  # numbers of the classes in alphabetic order
    described: str  # how it was made, in words
    left_out: str  # what is for neither, in words; empty if nothing is


def digest(name: Path) -> int:
    """64 bits of the path within the folder, alike on every system."""
    return int.from_bytes(hashlib.sha256(os.fsencode(name.as_posix())).digest()[:8], "big")


def split(names: list[Path], listed: list[Path] | None = None) -> Split:
    """The split of the files `names`, paths within their folder, among those `listed` (default: all of them).

    A folder `train` at the top beside one called `test` or `val` (or training, testing, valid, validation, in any case)
    is the training split, and that the test split; where there are both, `val` is for neither, as is all beside them.
    Else about one file in ten, chosen by the hash of its path, is for testing; a new file never moves an old one.

    The labels number the folders at the top, or below the split's own, where every file lies in one and there are two
    or more.
    """
    tops = [name.parts[0] if len(name.parts) > 1 else "" for name in names]
    lower = {name.parts[0].lower() for name in listed or names if len(name.parts) > 1}
    held = next((group for group in (TEST, HELD_OUT) if lower & set(group)), ())
    if not held or not lower & set(TRAIN):
        fractions = np.array([digest(name) / 2**64 for name in names])
        # The edges of the hash's range serve where one side would stay empty.
        threshold = min(max(TEST_PART, fractions.min()), np.nextafter(fractions.max(), 0))
        test = (fractions <= threshold).astype(np.int8)
        said = f"split by the files' names, about one in ten to test: {test.sum():,} of {len(names):,}"
        return Split(test, _labels(names, 0), said, "")
    sides = [1 if top.lower() in held else 0 if top.lower() in TRAIN else -1 for top in tops]
    counts = Counter(zip(sides, tops, strict=True))

    def count(side: int) -> str:
        here = ((top, number) for (at, top), number in counts.items() if at == side)
        return ", ".join(f"{n:,} in {top}/" if top else f"{n:,} beside them" for top, n in here) or "none"

    said = f"split by its own folders: {count(0)} to train, {count(1)} to test"
    left_out = f"neither to train nor to test: {count(-1)}" if -1 in sides else ""
    used = [name for name, side in zip(names, sides, strict=True) if side >= 0]
    labels = _labels(used, 1)
    if labels is not None:
        every = np.full(len(names), -1, np.int64)
        every[np.array(sides) >= 0] = labels
        labels = every
    return Split(np.array(sides, np.int8), labels, said, left_out)


def _labels(names: list[Path], depth: int) -> np.ndarray | None:
    classes = sorted({name.parts[depth] for name in names if len(name.parts) > depth + 1})
    if len(classes) < 2 or not all(len(name.parts) > depth + 1 for name in names):
        return None
    return np.array([classes.index(name.parts[depth]) for name in names], np.int64)
