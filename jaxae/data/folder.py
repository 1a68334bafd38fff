"""A folder of a person's own images as a data set: any size and mode in, one shape out."""

import functools
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from jaxae.data import cutting, folder_cache, folder_split, many_files
from jaxae.data.cutting import Cut
from jaxae.data.pictures import listing
from jaxae.data.pictures.scientific import Limits
from jaxae.errors import UserError

PREFIX = "folder:"
NAMED = 10  # unreadable files that a warning names before it only counts


class Folder(NamedTuple):
    """What a folder holds for a network: images, class labels where there are class folders, and the split."""

    images: UInt8[np.ndarray, "n height width channels"]
    labels: Int64[np.ndarray, " n"] | None
    test: np.ndarray  # int8 [n]: 1 where the image belongs to the test split, 0 in the training split, -1 in neither

    def of(self, split: str) -> tuple[UInt8[np.ndarray, "m height width channels"], Int64[np.ndarray, " m"] | None]:
        """The images and labels of a split, "train" or "test"."""
        chosen = self.test == (split == "test")
        return self.images[chosen], None if self.labels is None else self.labels[chosen]


def find_images(name: str) -> tuple[Path, list[Path]]:
    """The folder that `folder:PATH` names and the image files in it, sorted; UserError unless there are two or more."""
    path, listed = _list(name)
    return path, listed.files


def _list(name: str) -> tuple[Path, listing.Listing]:
    path = Path(name.removeprefix(PREFIX)).expanduser()
    if not path.is_dir():
        raise UserError(f"there is no folder {path}; give the path of your images as folder:PATH")
    listed = listing.list_pictures(path)
    if len(listed.files) < 2:
        found = "only one image" if listed.files else "no image"
        others = f" that can be read, and {listed.describe_others()}" if listed.others else ""
        raise UserError(f"{path} holds {found}{others}: two are needed, to train and to test")
    return path, listed


def describe(name: str) -> str:
    """How `folder:PATH` is split, in words, such as "split by its folders: train/ (900 files), test/ (100 files)"."""
    path, files = find_images(name)
    return folder_split.split([file.relative_to(path) for file in files]).described


def check(name: str, split: str, shape: tuple[int, int, int]) -> None:
    """Raise UserError for a split or a shape that the images of `name` cannot have."""
    if split not in ("train", "test"):
        raise UserError(f"{name} has no split {split!r}; its splits: test, train")
    if len(shape) != 3 or shape[2] not in (1, 3) or min(shape) < 1:
        raise UserError(f"images of shape {shape} cannot be made from {name}: give (height, width, 1 or 3)")


def stats(path: Path, files: list[Path]) -> tuple[tuple[str, int, int], ...]:
    """Name within `path`, bytes and time of change of each of `files`."""
    return tuple(
        (str(file.relative_to(path)), stat.st_size, stat.st_mtime_ns) for file, stat in ((f, f.stat()) for f in files)
    )


def load_folder(
    name: str,
    split: str,
    shape: tuple[int, int, int],
    crops: int = 8,
    limits: Limits | None = None,
    as_they_are: bool = False,
) -> tuple[UInt8[np.ndarray, "n height width channels"], Int64[np.ndarray, " n"] | None]:
    """The images of `folder:PATH` that belong to `split` ("train" or "test"), and their class labels or None.

    Each image is turned upright (EXIF), laid on white where it is transparent (on black where white would hide it), cut
    to the aspect of `shape` around its middle and resized; one channel means luminance (ITU-R BT.601). One that is at
    least four times as large as `shape` gives `crops` images: the middle, and random cuts of a quarter to the whole of
    its shorter side. Of an animation the first frame is taken, of a TIFF every page. Floating-point values are scaled
    from `limits`, black and white, by default 0 and 1; a file that goes beyond is left out as unreadable.

    as_they_are: nothing is resized, so that noise stays what it is: each image gives pieces of `shape`.

    `folder_split.split` tells how they are split and labelled. Files that cannot be read, and files of other kinds, are
    named or counted in a warning and left out. UserError if fewer than two images are left, or all are equal.
    """
    path, listed = _list(name)
    check(name, split, shape)
    others = listed.describe_others()
    return _read(path, stats(path, listed.files), others, tuple(shape), crops, limits, as_they_are).of(split)


# Both splits, and labels after images, come from one reading, which also warns only once.
@functools.lru_cache(maxsize=1)
def _read(
    path: Path,
    files: tuple,
    others: str,
    shape: tuple[int, int, int],
    crops: int,
    limits: Limits | None,
    as_they_are: bool,
) -> Folder:
    settings = (shape, "as they are" if as_they_are else crops, *(limits or ()))

    def cut(name: str) -> Cut:
        seed = folder_split.digest(Path(name))
        if as_they_are:
            return cutting.pieces(path / name, seed, shape, limits)
        return cutting.resized(path / name, seed, shape, crops, limits)

    names = [name for name, _, _ in files]
    images, found = cached(path, settings, files, lambda: many_files.read(path, names, cut), shape)
    if others:
        warnings.warn(f"left out of {path}, no pictures that can be read: {others}", stacklevel=3)
    return settle(path, names, images, found)


def cached(path: Path, settings: tuple, files: tuple, read: Any, shape: tuple) -> tuple[np.ndarray, dict[str, Any]]:
    """What ``read()``, a `many_files.read`, gives, as one array of images of `shape`; from the cache if it is there."""
    place, state = folder_cache.entry(path, settings), folder_cache.state(files)
    kept = folder_cache.load(place, state)
    if kept is not None:
        return kept
    started = time.perf_counter()
    cut, found = read()
    images = np.stack(cut) if cut else np.zeros((0, *shape), np.uint8)
    if time.perf_counter() - started > folder_cache.WORTH and len(images):
        folder_cache.save(place, state, images, found)
    return images, found


def settle(path: Path, names: list[str], images: np.ndarray, found: dict[str, Any]) -> Folder:
    """The split and labels of `images`, which `found` says more of, from the files `names` in `path`; with warnings."""
    skipped, counts = found["skipped"], found["counts"]
    unreadable = ", ".join(skipped[:NAMED]) + (f" and {len(skipped) - NAMED} more" if len(skipped) > NAMED else "")
    if skipped:
        warnings.warn(f"left out of {path}, unreadable: {unreadable}", stacklevel=4)
    for note, (first, count) in found["notes"].items():
        warnings.warn(f"{path / first}{f' and {count - 1:,} more' if count > 1 else ''}: {note}", stacklevel=4)
    if len(counts) < 2:
        raise UserError(
            f"{path} holds {len(counts) or 'no'} readable image: two are needed, to train and to test; "
            f"unreadable: {', '.join(skipped[:NAMED])}"
        )
    if (images == images[0]).all():
        raise UserError(
            f"all images of {path} are equal as {' × '.join(map(str, images.shape[1:]))}: there is nothing to learn"
        )
    split = folder_split.split([Path(name) for name in counts], [Path(name) for name in names])
    for side, words in ((0, "to train"), (1, "to test")):
        if side not in split.test:
            raise UserError(f"{path} has no readable image {words}: {split.described}")
    if split.left_out:
        warnings.warn(f"left out of {path}: {split.left_out}", stacklevel=4)
    repeats = list(counts.values())
    return Folder(
        images,
        None if split.labels is None else np.repeat(split.labels, repeats),
        np.repeat(split.test, repeats),
    )
