"""A prepared TFDS data set: its builder, which of its features are image and label, and what damage is called."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jaxae.errors import UserError

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
