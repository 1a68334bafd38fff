"""From a prepared TFDS data set to arrays, with the decoded pixels cached beside it."""

import contextlib
import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from jaxae.data.prepared import damage_explained, find_split, image_and_label, open_builder, serialized, sizes_vary
from jaxae.errors import UserError
from jaxae.files import replacing


def read_images(directory: Path, split: str) -> UInt8[np.ndarray, "n height width channels"]:
    """The images of `split` of the prepared data set in `directory`, in the order TFDS stores them.

    The first read decodes every image and keeps the pixels in `directory`/jaxae_cache where that can be written;
    later reads take them from there. UserError if there is no such split, no image feature, or images of many sizes.
    """
    return _read(directory, split, "images")


def read_labels(directory: Path, split: str) -> Int[np.ndarray, " n"] | None:
    """The class labels (int64) that belong to `read_images`, or None where the data set has no class label."""
    labels = _read(directory, split, "labels")
    return labels if labels.size else None


def _read(directory: Path, split: str, what: str) -> np.ndarray:
    cache = directory / "jaxae_cache" / f"{split}.npz"
    key = _fingerprint(directory)
    try:
        # A zip file carries a CRC of each member, which is verified as the member is read.
        with cache.open("rb") as file, np.load(file) as stored:
            if str(stored["key"]) == key:
                return stored[what]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # absent, truncated or damaged: decode again
    arrays = _decode(directory, split)
    # A directory marked read-only is somebody's to keep as it is, even where permissions do not bind (root).
    if directory.stat().st_mode & 0o222:
        _keep(cache, key=np.asarray(key), **arrays)
    return arrays[what]


def _fingerprint(directory: Path) -> str:
    """Changes whenever a file of the prepared data set does: a cache made from other files is never served."""
    files = sorted(path for path in directory.iterdir() if path.is_file())
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(stats).encode()).hexdigest()


def _keep(path: Path, **arrays: np.ndarray) -> None:
    """Write the cache, or leave things as they were where the directory is read-only or the disk full."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)


def _decode(directory: Path, split: str) -> dict[str, np.ndarray]:
    import tensorflow_datasets as tfds

    builder = open_builder(directory)
    name = builder.info.full_name
    split = find_split(builder.info, split)
    image_key, label_key = image_and_label(builder.info.features, builder.info.supervised_keys, name)
    # Only these two are decoded, whatever else an example holds.
    wanted = [image_key, label_key] if label_key else [image_key]
    features = tfds.features.FeaturesDict({key: builder.info.features[key] for key in wanted})
    count = builder.info.splits[split].num_examples
    images, labels = np.zeros(0, np.uint8), np.zeros(count if label_key else 0, np.int64)
    done = 0
    for example in _examples(builder, split, features):
        image = example[image_key]
        if done == 0:
            images = np.zeros((count, *image.shape), np.uint8)
        if image.shape != images.shape[1:]:
            raise sizes_vary(name, images.shape[1:], image.shape)
        images[done] = image
        if label_key:
            labels[done] = example[label_key]
        done += 1
    if done != count or count == 0:
        raise UserError(
            f"data set {name} in {directory} holds {done} of {count} images; delete it and prepare it again"
        )
    return {"images": images, "labels": labels}


def _examples(builder, split: str, features) -> Iterator[dict]:
    """Decoded examples in TFDS's order."""
    with damage_explained(builder):
        for record in serialized(builder, split):
            yield features.deserialize_example_np(record)
