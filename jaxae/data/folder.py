"""A folder of a person's own images as a data set: any size and mode in, one shape out."""

import functools
import hashlib
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt8

from jaxae.errors import UserError

PREFIX = "folder:"
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
TEST_PART = 0.1
LARGE = 4  # an image this many times the wanted size along its shorter side gives several crops
NAMED = 10  # unreadable files that a warning names before it only counts


class Folder(NamedTuple):
    """What a folder holds for a network: images, class labels where there are class folders, and the split."""

    images: UInt8[np.ndarray, "n height width channels"]
    labels: Int64[np.ndarray, " n"] | None
    test: np.ndarray  # bool [n]: whether the image belongs to the test split


def find_images(name: str) -> tuple[Path, list[Path]]:
    """The folder that `folder:PATH` names and the image files in it, sorted; UserError unless there are two or more."""
    path = Path(name.removeprefix(PREFIX)).expanduser()
    if not path.is_dir():
        raise UserError(f"there is no folder {path}; give the path of your images as folder:PATH")
    files = sorted(
        file
        for file in path.rglob("*")
        if file.suffix.lower() in SUFFIXES and file.is_file() and not file.name.startswith(".")
    )
    if len(files) < 2:
        found = "only one image" if files else "no image"
        raise UserError(f"{path} holds {found} ({', '.join(sorted(SUFFIXES))}); two are needed, to train and to test")
    return path, files


def load_folder(
    name: str, split: str, shape: tuple[int, int, int], crops: int = 8
) -> tuple[UInt8[np.ndarray, "n height width channels"], Int64[np.ndarray, " n"] | None]:
    """The images of `folder:PATH` that belong to `split` ("train" or "test"), and their class labels or None.

    Each image is turned upright (EXIF), laid on white where it is transparent, cut to the aspect of `shape` around its
    middle and resized; one channel means luminance (ITU-R BT.601). One that is at least four times as large as `shape`
    gives `crops` images: the middle, and random cuts of a quarter to the whole of its shorter side. About one image in
    ten, chosen by the hash of its path, and all its crops, is for testing; a new file never moves an old one. The
    labels number the top-level folders in alphabetic order, where every image lies in one and there are two or more.

    Files that cannot be read are named in a warning and left out. UserError if fewer than two images are left.
    """
    path, files = find_images(name)
    if split not in ("train", "test"):
        raise UserError(f"{name} has no split {split!r}; its splits: test, train")
    if len(shape) != 3 or shape[2] not in (1, 3) or min(shape) < 1:
        raise UserError(f"images of shape {shape} cannot be made from {path}: give (height, width, 1 or 3)")
    stats = tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    folder = _read(path, stats, shape, crops)
    chosen = folder.test == (split == "test")
    return folder.images[chosen], None if folder.labels is None else folder.labels[chosen]


# Both splits, and labels after images, come from one reading, which also warns only once.
@functools.lru_cache(maxsize=1)
def _read(path: Path, stats: tuple, shape: tuple[int, int, int], crops: int) -> Folder:
    images, names, skipped = [], [], []
    for file, _, _ in stats:
        name = file.relative_to(path)
        try:
            cut = _crops(file, _hash(name), shape, crops)
        except Exception as error:  # whatever Pillow's decoders make of broken bytes
            skipped.append(f"{name} ({' '.join(str(error).replace(str(file), 'it').split())})")
            continue
        images += cut
        names += [name] * len(cut)
    if skipped:
        more = f" and {len(skipped) - NAMED} more" if len(skipped) > NAMED else ""
        warnings.warn(f"left out of {path}, unreadable: {', '.join(skipped[:NAMED])}{more}", stacklevel=3)
    if len(set(names)) < 2:
        raise UserError(
            f"{path} holds {len(set(names)) or 'no'} readable image: two are needed, to train and to test; "
            f"unreadable: {', '.join(skipped[:NAMED])}"
        )
    fractions = np.array([_hash(name) / 2**64 for name in names])
    # The edges of the hash's range serve where one side would stay empty.
    threshold = min(max(TEST_PART, fractions.min()), np.nextafter(fractions.max(), 0))
    classes = sorted({name.parts[0] for name in names if len(name.parts) > 1})
    labels = None
    if len(classes) > 1 and all(len(name.parts) > 1 for name in names):
        labels = np.array([classes.index(name.parts[0]) for name in names], np.int64)
    return Folder(np.stack(images), labels, fractions <= threshold)


def _hash(name: Path) -> int:
    """64 bits of the path within the folder, alike on every system."""
    return int.from_bytes(hashlib.sha256(os.fsencode(name.as_posix())).digest()[:8], "big")


def _crops(file: Path, seed: int, shape: tuple[int, int, int], crops: int) -> list[np.ndarray]:
    from PIL import Image, ImageOps

    height, width, channels = shape
    with warnings.catch_warnings(), Image.open(file) as image:
        # Pillow warns of a large image and refuses a huge one; only the second is left out.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)  # of odd metadata, which does not matter here
        large = image.width >= LARGE * width and image.height >= LARGE * height
        image.draft(None, (2 * LARGE * max(width, height),) * 2)  # a JPEG need not be decoded any larger
        image.load()
        image = _eight_bit(ImageOps.exif_transpose(image)).convert("L" if channels == 1 else "RGB")
    scale = min(image.width / width, image.height / height)  # of the largest box with the wanted aspect
    left, top = image.width - scale * width, image.height - scale * height
    boxes = [(left / 2, top / 2, left / 2 + scale * width, top / 2 + scale * height)]
    random = np.random.default_rng(seed)
    for _ in range(crops - 1 if large else 0):
        part = scale * random.uniform(1 / LARGE, 1)
        x, y = random.uniform(0, 1, 2) * (image.width - part * width, image.height - part * height)
        boxes.append((x, y, x + part * width, y + part * height))
    resized = (image.resize((width, height), Image.Resampling.LANCZOS, box=box, reducing_gap=3) for box in boxes)
    return [np.asarray(one).reshape(shape) for one in resized]


def _eight_bit(image):
    """The same picture with 8 bits a channel and nothing transparent."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"32-bit values from {values.min()} to {values.max()}")
        return Image.fromarray((values // 257).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point values of unknown range")
    if "transparency" in image.info or image.mode[-1] in "Aa":
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image
