"""A folder of a person's own images as a data set: any size and mode in, one shape out."""

import functools
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from jaxae.data import folder_cache, folder_split
from jaxae.data.pictures import listing, reading
from jaxae.data.pictures.reading import Picture
from jaxae.data.pictures.scientific import Limits
from jaxae.errors import UserError

PREFIX = "folder:"
LARGE = 4  # an image this many times the wanted size along its shorter side gives several crops
NAMED = 10  # unreadable files that a warning names before it only counts
HIDDEN = 16  # of 255: where alpha varies by more but its picture on white by less, white hides it
_PATIENCE = 2.0  # seconds of reading before a bar is shown


class Folder(NamedTuple):
    """What a folder holds for a network: images, class labels where there are class folders, and the split."""

    images: UInt8[np.ndarray, "n height width channels"]
    labels: Int64[np.ndarray, " n"] | None
    test: np.ndarray  # int8 [n]: 1 where the image belongs to the test split, 0 in the training split, -1 in neither


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


def load_folder(
    name: str, split: str, shape: tuple[int, int, int], crops: int = 8, limits: Limits | None = None
) -> tuple[UInt8[np.ndarray, "n height width channels"], Int64[np.ndarray, " n"] | None]:
    """The images of `folder:PATH` that belong to `split` ("train" or "test"), and their class labels or None.

    Each image is turned upright (EXIF), laid on white where it is transparent (on black where white would hide it), cut
    to the aspect of `shape` around its middle and resized; one channel means luminance (ITU-R BT.601). One that is at
    least four times as large as `shape` gives `crops` images: the middle, and random cuts of a quarter to the whole of
    its shorter side. Of an animation the first frame is taken, of a TIFF every page. Floating-point values are scaled
    from `limits`, black and white, by default 0 and 1; a file that goes beyond is left out as unreadable.

    `folder_split.split` tells how they are split and labelled. Files that cannot be read, and files of other kinds, are
    named or counted in a warning and left out. UserError if fewer than two images are left, or all are equal.
    """
    path, listed = _list(name)
    if split not in ("train", "test"):
        raise UserError(f"{name} has no split {split!r}; its splits: test, train")
    if len(shape) != 3 or shape[2] not in (1, 3) or min(shape) < 1:
        raise UserError(f"images of shape {shape} cannot be made from {path}: give (height, width, 1 or 3)")
    files = ((file, file.stat()) for file in listed.files)
    stats = tuple((str(file.relative_to(path)), stat.st_size, stat.st_mtime_ns) for file, stat in files)
    folder = _read(path, stats, listed.describe_others(), tuple(shape), crops, limits)
    chosen = folder.test == (split == "test")
    return folder.images[chosen], None if folder.labels is None else folder.labels[chosen]


# Both splits, and labels after images, come from one reading, which also warns only once.
@functools.lru_cache(maxsize=1)
def _read(
    path: Path, stats: tuple, others: str, shape: tuple[int, int, int], crops: int, limits: Limits | None
) -> Folder:
    place, state = folder_cache.entry(path, (shape, crops, *(limits or ()))), folder_cache.state(stats)
    kept = folder_cache.load(place, state)
    if kept is None:
        started = time.perf_counter()
        images, found = _decode(path, [name for name, _, _ in stats], shape, crops, limits)
        if time.perf_counter() - started > folder_cache.WORTH and len(images):
            folder_cache.save(place, state, images, found)
    else:
        images, found = kept
    skipped, counts = found["skipped"], found["counts"]  # lines of words; how many images each file gave
    unreadable = ", ".join(skipped[:NAMED]) + (f" and {len(skipped) - NAMED} more" if len(skipped) > NAMED else "")
    if others:
        warnings.warn(f"left out of {path}, no pictures that can be read: {others}", stacklevel=3)
    if skipped:
        warnings.warn(f"left out of {path}, unreadable: {unreadable}", stacklevel=3)
    for note, (first, count) in found["notes"].items():
        warnings.warn(f"{path / first}{f' and {count - 1:,} more' if count > 1 else ''}: {note}", stacklevel=3)
    if len(counts) < 2:
        raise UserError(
            f"{path} holds {len(counts) or 'no'} readable image: two are needed, to train and to test; "
            f"unreadable: {', '.join(skipped[:NAMED])}"
        )
    if (images == images[0]).all():
        raise UserError(f"all images of {path} are equal as {' × '.join(map(str, shape))}: there is nothing to learn")
    split = folder_split.split([Path(name) for name in counts], [Path(name) for name, _, _ in stats])
    for side, words in ((0, "to train"), (1, "to test")):
        if side not in split.test:
            raise UserError(f"{path} has no readable image {words}: {split.described}")
    if split.left_out:
        warnings.warn(f"left out of {path}: {split.left_out}", stacklevel=3)
    repeats = list(counts.values())
    return Folder(
        images,
        None if split.labels is None else np.repeat(split.labels, repeats),
        np.repeat(split.test, repeats),
    )


def _decode(
    path: Path, names: list[str], shape: tuple[int, int, int], crops: int, limits: Limits | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """The crops of all files, on every core, and what there is to say of them."""
    images: list[np.ndarray] = []
    found: dict[str, Any] = {"skipped": [], "counts": {}, "notes": {}}

    def read(name: str) -> tuple[list[np.ndarray], tuple[str, ...]] | UserError:
        try:
            return _crops(path / name, folder_split.digest(Path(name)), shape, crops, limits)
        except UserError as error:
            return error

    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool, _bar(path, len(names)) as advance:
        # Pillow warns of a large image and refuses a huge one; only the second is left out. Odd metadata does not
        # matter here.
        warnings.simplefilter("ignore")
        with closing(pool.map(read, names)) as results:  # when closed early, what is not begun is given up
            for name, result in zip(names, results, strict=True):
                advance()
                if isinstance(result, UserError):
                    found["skipped"].append(f"{name} ({str(result).removeprefix(f'{path / name}: ')})")
                    continue
                cut, notes = result
                images += cut
                found["counts"][name] = len(cut)
                for note in notes:
                    first, count = found["notes"].get(note, (name, 0))
                    found["notes"][note] = (first, count + 1)
    return np.stack(images) if images else np.zeros((0, *shape), np.uint8), found


@contextmanager
def _bar(path: Path, total: int) -> Iterator[Callable[[], None]]:
    """A function to call for each file read, which draws a bar on a terminal once that takes its time."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich import console, progress

    columns = *progress.Progress.get_default_columns(), progress.MofNCompleteColumn()
    bar = progress.Progress(*columns, console=console.Console(stderr=True), transient=True)
    task, started = bar.add_task(f"reading {path}", total=total), time.perf_counter()

    def advance() -> None:
        bar.advance(task)
        if not bar.live.is_started and time.perf_counter() - started > _PATIENCE:
            bar.start()

    try:
        yield advance
    finally:
        bar.stop()


def _crops(
    file: Path, seed: int, shape: tuple[int, int, int], crops: int, limits: Limits | None
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """The images of the file, and notes on them."""
    height, width, _ = shape
    if reading.is_beyond_pillow(file):
        pages = reading.read_scientific(file)
        sizes = [page.values.shape[:2] for page in pages]
    else:
        with reading.opened(file) as image:
            image.draft(None, (2 * LARGE * max(width, height),) * 2)  # a JPEG need not be decoded any larger
            sizes, pages = [], []
            for number in reading.pages(image) if image.format == "TIFF" else (0,):
                sizes.append((image.height, image.width))
                pages.append(reading.decode(image, file, number))
    cut = []
    with reading.naming(file):
        for number, (page, (rows, columns)) in enumerate(zip(pages, sizes, strict=True)):
            large = columns >= LARGE * width and rows >= LARGE * height
            cut += _cut(_as_image(page.within(limits)), seed + number, shape, crops if large else 1)
    return cut, tuple(dict.fromkeys(note for page in pages for note in page.notes))


def _cut(image: Any, seed: int, shape: tuple[int, int, int], crops: int) -> list[np.ndarray]:
    from PIL import Image

    height, width, channels = shape
    image = image.convert("L" if channels == 1 else "RGB")
    scale = min(image.width / width, image.height / height)  # of the largest box with the wanted aspect
    left, top = image.width - scale * width, image.height - scale * height
    boxes = [(left / 2, top / 2, left / 2 + scale * width, top / 2 + scale * height)]
    random = np.random.default_rng(seed)
    for _ in range(crops - 1):
        part = scale * random.uniform(1 / LARGE, 1)
        x, y = random.uniform(0, 1, 2) * (image.width - part * width, image.height - part * height)
        boxes.append((x, y, x + part * width, y + part * height))
    resized = (image.resize((width, height), Image.Resampling.LANCZOS, box=box, reducing_gap=3) for box in boxes)
    return [np.asarray(one).reshape(shape) for one in resized]


def _as_image(picture: Picture) -> Any:
    """The same picture with 8 bits a channel and nothing transparent, as Pillow's."""
    from PIL import Image

    values = _eight_bits(picture.values)
    image = Image.fromarray(values.squeeze(-1) if values.shape[2] == 1 else values)
    if picture.alpha is None:
        return image
    alpha = Image.fromarray(_eight_bits(picture.alpha))
    image = image.convert("RGB")
    image.putalpha(alpha)
    white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    (low, high), (clear, opaque) = white.convert("L").getextrema(), alpha.getextrema()
    if high - low < HIDDEN <= opaque - clear:
        return Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    return white


def _eight_bits(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint16:
        return (values // 257).astype(np.uint8)
    if values.dtype == np.float32:
        return np.rint(values * 255).astype(np.uint8)
    return values
