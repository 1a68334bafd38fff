"""From a prepared TFDS data set to arrays, with the decoded pixels cached beside it."""

import contextlib
import hashlib
import math
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from jaxae.errors import UserError

CHUNK = 4096  # records read at a time: one call for many is fast, one call for all would fill the memory


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


def count_bytes(directory: Path, split: str) -> int:
    """About what the images of `split` take in memory."""
    from jaxae.data.records import Records

    info = open_builder(directory).info
    check_split(info, split)
    shape = info.features[image_and_label(info.features, info.supervised_keys, info.full_name)[0]].shape
    if None in shape:  # known from an image alone
        return Records(directory, split).nbytes
    return info.splits[split].num_examples * math.prod(shape)


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
        _write_atomically(cache, key=np.asarray(key), **arrays)
    return arrays[what]


def _fingerprint(directory: Path) -> str:
    """Changes whenever a file of the prepared data set does: a cache made from other files is never served."""
    files = sorted(path for path in directory.iterdir() if path.is_file())
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(stats).encode()).hexdigest()


def _write_atomically(path: Path, **arrays: np.ndarray) -> None:
    """Writes the cache, or leaves things as they were where the directory is read-only or the disk full."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        path.parent.mkdir(exist_ok=True)
        with unfinished.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        os.replace(unfinished, path)
    except OSError:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def open_builder(directory: Path):
    """The TFDS builder of the prepared data set in `directory`. UserError where its description cannot be read."""
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(str(directory))
        _ = builder.info.full_name, builder.info.features, builder.info.supervised_keys, builder.info.splits
    except Exception as error:  # whatever TFDS, protobuf and JSON make of broken bytes
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"the data set in {directory} is damaged ({type(error).__name__}: {reason}); delete it and prepare it again"
        ) from error
    return builder


def _decode(directory: Path, split: str) -> dict[str, np.ndarray]:
    import tensorflow_datasets as tfds

    builder = open_builder(directory)
    name = builder.info.full_name
    check_split(builder.info, split)
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


def image_and_label(features, supervised_keys, name: str) -> tuple[str, str | None]:
    """The keys of the image and of its class label, `image` and `label` or the supervised pair where there are many."""
    import tensorflow_datasets as tfds

    def pick(keys: list[str], preferred: tuple) -> str | None:
        return next((key for key in (*preferred, *keys) if key in keys), None)

    if not isinstance(features, tfds.features.FeaturesDict):
        raise UserError(f"data set {name} has no image: its examples are {type(features).__name__}")
    supervised = supervised_keys or ()
    images = [
        key
        for key, feature in features.items()
        if isinstance(feature, tfds.features.Image | tfds.features.Tensor)
        and len(feature.shape) == 3
        and feature.np_dtype == np.uint8
    ]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    image = pick(images, ("image", *supervised[:1]))
    if image is None:
        raise UserError(f"data set {name} has no uint8 image of rank 3; its features: {', '.join(features)}")
    return image, pick(labels, ("label", *supervised[1:]))


def check_split(info, split: str) -> None:
    """Raise UserError unless the data set has `split`."""
    if split not in info.splits:
        there = ", ".join(sorted(info.splits)) or "none"
        raise UserError(f"data set {info.full_name} has no split {split!r}; its splits: {there}")


def sizes_vary(name: str, one: tuple[int, ...], other: tuple[int, ...]) -> UserError:
    """The error for images of shapes `one` and `other` in a data set."""
    return UserError(
        f"the images of {name} vary in size ({one} and {other}), and a network needs one: "
        "export them as files and use folder:PATH, which crops and resizes"
    )


@contextlib.contextmanager
def damage_explained(builder) -> Iterator[None]:
    """Turn whatever the readers of TFDS, ArrayRecord, protobuf and OpenCV make of broken bytes into a UserError."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"data set {builder.info.full_name} in {builder.data_dir} is damaged ({reason}); "
            "delete it and prepare it again"
        ) from error


def _examples(builder, split: str, features) -> Iterator[dict]:
    """Decoded examples in TFDS's order."""
    with damage_explained(builder):
        for record in _records(builder, split):
            yield features.deserialize_example_np(record)


def _records(builder, split: str) -> Iterator[bytes]:
    """Serialized examples; TFRecord files, the format TFDS writes with TensorFlow, are read here."""
    if builder.info.file_format.value == "tfrecord":
        for file in builder.info.splits[split].filepaths:
            yield from _tfrecords(Path(file))
        return
    source = builder.as_data_source(split).data_source
    for start in range(0, len(source), CHUNK):
        yield from source.__getitems__(range(start, min(start + CHUNK, len(source))))


def _tfrecords(path: Path) -> Iterator[bytes]:
    """Records of a TFRecord file: length (uint64), its CRC (4 bytes), the record, its CRC (4 bytes).

    The format: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
    """
    with path.open("rb") as file:
        while header := file.read(12):
            length = int.from_bytes(header[:8], "little")
            record = file.read(length)
            if len(header) != 12 or len(record) != length or len(file.read(4)) != 4:
                raise ValueError(f"{path.name} is truncated")
            yield record
