"""A prepared TFDS data set: its builder, which of its features are image and label, and what damage is called."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jaxae.errors import UserError

VALIDATION = ("validation", "val", "valid", "dev")
CHUNK = 4096  # records read at a time: one call for many is fast, one call for all would fill the memory


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


def find_split(info, split: str) -> str:
    """The split called `split`; for the test split of a data set that has none, that for validation, with a warning.

    Raises UserError where the data set has no such split.
    """
    if split in info.splits:
        return split
    if split == "test" and (other := next((name for name in VALIDATION if name in info.splits), None)):
        warnings.warn(f"data set {info.full_name} has no split test: {other} takes its place", stacklevel=2)
        return other
    there = ", ".join(sorted(info.splits)) or "none"
    raise UserError(
        f"data set {info.full_name} has no split {split!r}; its splits: {there} "
        "(--data.test-split names the one to test on)"
    )


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


def serialized(builder, split: str) -> Iterator[bytes]:
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
