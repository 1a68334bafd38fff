"""Pairs of noisy and clean pictures as a data set: pieces of both from the same places, as they are.

`jaxae.data.halves` tells how a pair travels as one image.
"""

import functools
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from jaxae.data import cutting, folder, folder_split, many_files, pair_names
from jaxae.data.cutting import Cut
from jaxae.data.folder import Folder
from jaxae.data.pair_names import Matched
from jaxae.data.pictures import listing
from jaxae.data.pictures.scientific import Limits
from jaxae.errors import UserError

PREFIX = "pairs:"


class Found(NamedTuple):
    """The two folders of a data set of pairs, and the files in them that belong together."""

    noisy: Path
    clean: Path
    matched: Matched


def folders(name: str) -> tuple[Path, Path]:
    """The folders that ``pairs:NOISY,CLEAN`` names. Raises UserError unless there are two."""
    parts = name.removeprefix(PREFIX).split(",")
    if len(parts) != 2 or not all(parts):
        raise UserError(
            f"{name} names no two folders: give pairs:NOISY,CLEAN, and link a folder with a comma in its name elsewhere"
        )
    noisy, clean = (Path(part).expanduser() for part in parts)
    for path in (noisy, clean):
        if not path.is_dir():
            raise UserError(f"there is no folder {path}; give the paths of your pictures as pairs:NOISY,CLEAN")
    if noisy.resolve() == clean.resolve():
        raise UserError(f"{name} names one folder twice: the noisy pictures and the clean ones need one each")
    return noisy, clean


def find(name: str) -> Found:
    """The pairs of ``pairs:NOISY,CLEAN``. Raises UserError unless there are two or more."""
    noisy, clean = folders(name)
    names = []
    for path in (noisy, clean):
        files = listing.list_pictures(path).files
        if not files:
            raise UserError(f"{path} holds no picture that can be read")
        names.append([file.relative_to(path) for file in files])
    matched = pair_names.match(*names)
    if len(matched.pairs) < 2:
        raise UserError(f"{name} holds one pair: two are needed, to train and to test")
    return Found(noisy, clean, matched)


def describe(name: str) -> str:
    """How the files are matched and split, in words."""
    matched = find(name).matched
    split = folder_split.split([noisy for noisy, _ in matched.pairs]).described
    return f"{len(matched.pairs):,} pairs matched by name{matched.how}; {split}"


def load_pairs(
    name: str, split: str, shape: tuple[int, int, int], limits: Limits | None = None
) -> tuple[UInt8[np.ndarray, "n height width twice"], Int64[np.ndarray, " n"] | None]:
    """The pairs of ``pairs:NOISY,CLEAN`` that belong to `split`, with twice the channels of `shape`, and their labels.

    Pictures are read as those of a folder are, but not resized: each pair gives as many pieces as fill it. They are
    split and labelled by the noisy files' names. Files without a partner, and pairs that cannot be read, are named in a
    warning and left out. UserError where two that belong together are not of one size, or less than two pairs are left.
    """
    noisy, clean, matched = find(name)
    folder.check(name, split, shape)
    files = folder.stats(noisy, [noisy / one for one, _ in matched.pairs])
    others = folder.stats(clean, [clean / other for _, other in matched.pairs])
    return _read(noisy, clean, files, others, matched.describe_alone(), tuple(shape), limits).of(split)


@functools.lru_cache(maxsize=1)
def _read(
    noisy: Path,
    clean: Path,
    files: tuple,
    others: tuple,
    alone: str,
    shape: tuple[int, int, int],
    limits: Limits | None,
) -> Folder:
    partners = {name: clean / other for (name, _, _), (other, _, _) in zip(files, others, strict=True)}

    def cut(name: str) -> Cut:
        return cutting.paired(noisy / name, partners[name], folder_split.digest(Path(name)), shape, limits)

    settings = ("paired", str(clean.resolve()), shape, *(limits or ()))
    twice = (*shape[:2], 2 * shape[2])
    images, found = folder.cached(
        noisy, settings, (files, others), lambda: many_files.read(noisy, list(partners), cut), twice
    )
    if alone:
        warnings.warn(f"left out, without a partner of the same name: {alone}", stacklevel=3)
    return folder.settle(noisy, list(partners), images, found)
