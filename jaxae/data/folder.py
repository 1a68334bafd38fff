"""A person's own pictures as a data set: files of any size and mode become images of one shape."""

import functools
import json
import os
import sys
import time
import warnings
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from jaxae import files
from jaxae.data import array_cache, cutting, folder_split
from jaxae.data.cutting import Cut
from jaxae.data.dataset import Dataset, Options, source
from jaxae.data.folder_split import FileSplit
from jaxae.data.images import Images
from jaxae.data.pictures import listing
from jaxae.errors import UserError
from jaxae.files import name_some

CACHE_LIMIT = 2 * 10**9  # bytes of all that is kept of folders
CACHE_WORTH = 1.0  # seconds of reading; what takes less is not kept
CACHE_VERSION = 4  # of how pictures become arrays: another one makes every entry anew

Outcomes = dict[str, list]  # by file: the number of its images and the notes on it, or 0 and why it is unreadable


class PictureDataset(Dataset):
    """Picture files, which are split and labeled by their paths: see `folder_split.split_files`.

    Files that cannot be read are left out, and a warning names them. `load` raises UserError if fewer than two can be
    read, if one side of the split is empty, or if all images are equal. Images that take long to read are kept in the
    user's cache directory.

    Attributes:
        folder: The folder that holds the files.
        inputs: The files that are cut together, a picture, or a clean and a noisy one, by the path of the last of them
            within `folder`.
        left_out: What a warning says besides of files that are left out.
    """

    takes_value_range = True
    folder: Path
    inputs: dict[str, list[Path]]
    left_out: str = ""

    def __init__(self, path: str, options: Options):
        del path
        shape = options.image_shape
        if len(shape) != 3 or shape[2] not in (1, 3) or min(shape) < 1:
            raise UserError(f"images of shape {shape} cannot be made from {self.name}: give (height, width, 1 or 3)")
        self._is_test("test")

    @property
    def description(self) -> str:
        """How the files are split, such as "split by its own folders: 900 in train/ to train, 100 in test/ to test"."""
        return folder_split.split_files([Path(name) for name in self.inputs]).described

    def load(self, split: str) -> Images:
        """The images of a split."""
        images, found = _read(self, self.state())
        return images.take(found.test == self._is_test(split))

    def load_labels(self, split: str) -> Int64[np.ndarray, " n"] | None:
        """The class of each image of `load`, in the alphabetic order of folders; None without folders of classes."""
        _, found = _read(self, self.state())
        return None if found.labels is None else found.labels[found.test == self._is_test(split)]

    def cut(self, name: str) -> Cut:
        """The images of one of `inputs`."""
        options = self.options
        cut = cutting.resized if options.resize and not self.has_pairs else cutting.pieces
        return cut(self.inputs[name], folder_split.path_hash(Path(name)), options.image_shape, options.value_range)

    def state(self) -> str:
        """A digest of the files that are read, of what decodes them and how."""
        import PIL

        files = [file for group in self.inputs.values() for file in group]
        settings = files, self.options.image_shape, self.options.resize, self.options.value_range
        return array_cache.state_digest(files, CACHE_VERSION, PIL.__version__, *settings)

    def _is_test(self, split: str) -> bool:
        stored = self.options.stored_split(split)
        if stored not in ("train", "test"):
            raise UserError(f"{self.name} has no split {stored!r}; its splits: test, train")
        return stored == "test"


@source("folder")
class FolderDataset(PictureDataset):
    """The pictures in a folder, `folder:PATH`, and in the folders below it.

    Each picture is turned upright (EXIF), laid on white where it is transparent (on black where white would hide it),
    cut around its middle to the aspect of the image shape, and resized. One channel means luminance (ITU-R BT.601). A
    picture that is at least four times as large as the image shape gives eight images: the middle, and random crops of
    a quarter to the whole of its shorter side. Every page of a TIFF is read. A picture with values beyond the value
    range is unreadable. If some pictures have more than 8 bits, all images have 16.

    With `resize=False` each picture gives pieces of the image shape.
    """

    def __init__(self, path: str, options: Options):
        super().__init__(path, options)
        self.folder = Path(path)
        pictures, others = listing.list_pictures(self.folder)
        self.inputs = {str(file.relative_to(self.folder)): [file] for file in pictures}
        if others:
            self.left_out = f"left out of {path}, no pictures that can be read: {others}"


# Both splits, and labels after images, come from one reading, which also warns only once.
@functools.lru_cache(maxsize=1)
def _read(dataset: PictureDataset, key: str) -> tuple[Images, FileSplit]:
    entry = files.user_cache() / "folders" / f"{key[:32]}.npz"
    if kept := array_cache.load_arrays(entry, key, "clean", "noisy", "outcomes"):
        outcomes = json.loads(str(kept.pop("outcomes")))
        return _settle(dataset, Images(**kept), outcomes)
    started = time.perf_counter()
    images, outcomes = _decode(dataset)
    if images is not None and time.perf_counter() - started > CACHE_WORTH:
        arrays = {name: array for name, array in images._asdict().items() if array is not None}
        array_cache.save_arrays(entry, key, arrays | {"outcomes": np.array(json.dumps(outcomes))}, CACHE_LIMIT)
    return _settle(dataset, images, outcomes)


def _decode(dataset: PictureDataset) -> tuple[Images | None, Outcomes]:
    """Read the files on all cores, with a progress bar on a terminal."""
    from rich import console, progress

    folder, names = dataset.folder, dataset.inputs

    def attempt(name: str) -> Cut:
        try:
            return dataset.cut(name)
        except UserError as error:
            return [], (str(error).removeprefix(f"{folder / name}: "),)

    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        # Pillow warns of a large image and refuses a huge one; only the second is left out. Odd metadata does not
        # matter here.
        warnings.simplefilter("ignore")
        screen, hidden = console.Console(stderr=True), not sys.stderr.isatty()
        cuts = pool.map(attempt, names)
        bar = progress.track(cuts, f"reading {folder}", len(names), console=screen, transient=True, disable=hidden)
        outcomes, images = {}, []
        for name, (pages, notes) in zip(names, bar, strict=True):
            outcomes[name] = [sum(page.count for page in pages), notes]
            images += pages
    if not images:
        return None, outcomes
    clean, noisy = zip(*images, strict=True)
    return Images(_joined(clean), None if noisy[0] is None else _joined(noisy)), outcomes


def _joined(arrays: tuple[np.ndarray, ...]) -> np.ndarray:
    """All images in one array, of 16 bits if some have 16."""
    if len({array.dtype for array in arrays}) > 1:
        arrays = tuple(array if array.dtype == np.uint16 else array.astype(np.uint16) * 257 for array in arrays)
    return np.concatenate(arrays)


def _settle(dataset: PictureDataset, images: Images | None, outcomes: Outcomes) -> tuple[Images, FileSplit]:
    """Split and label `images`, and warn of what is odd. The arrays of the split have an entry for each image."""
    path, noted = dataset.folder, defaultdict(list)
    if dataset.left_out:
        warnings.warn(dataset.left_out, stacklevel=4)
    if skipped := [f"{name} ({notes[0]})" for name, (count, notes) in outcomes.items() if not count]:
        warnings.warn(f"left out of {path}, unreadable: {name_some(skipped)}", stacklevel=4)
    counts = {name: count for name, (count, _) in outcomes.items() if count}
    for name in counts:
        for note in outcomes[name][1]:
            noted[note].append(name)
    for note, names in noted.items():
        warnings.warn(f"{path}: {name_some(names)}: {note}", stacklevel=4)
    if images is None or len(counts) < 2:
        found = f"{path} holds {len(counts) or 'no'} readable image"
        raise UserError(f"{found}: two are needed, to train and to test")
    if all((array == array[0]).all() for array in images if array is not None):
        size = " × ".join(map(str, images.shape[1:]))
        raise UserError(f"all images of {path} are equal as {size}: there is nothing to learn")
    split = folder_split.split_files([Path(name) for name in counts], [Path(name) for name in outcomes])
    for side, words in ((0, "to train"), (1, "to test")):
        if side not in split.test:
            raise UserError(f"{path} has no readable image {words}: {split.described}")
    if split.left_out:
        warnings.warn(f"left out of {path}: {split.left_out}", stacklevel=4)
    repeats = list(counts.values())
    labels = None if split.labels is None else np.repeat(split.labels, repeats)
    return images, split._replace(test=np.repeat(split.test, repeats), labels=labels)
