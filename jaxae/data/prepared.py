"""Prepared TFDS data sets, decoded without TensorFlow: whole splits as arrays, or images by index."""

import contextlib
import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from jaxae.errors import UserError

CHUNK = 4096  # records read at a time: one call for many is fast, one call for all would fill the memory


class StoredSplit:
    """A split of the prepared data set in `directory`.

    It gives images by index, see `jaxae.data.Images`, if it is stored as array_record.

    Attributes:
        directory: Where the data set is prepared.
        split: The split as it is called there.
        count: The number of its examples.
        image_key: The feature that is the image.
        label_key: The feature that is the class label, if there is one.
        shape: The number of images and their shape.

    Raises:
        UserError: The description of the data set is damaged, there is no such split, or no image of bytes
            and of fixed size.
    """

    def __init__(self, directory: Path, split: str):
        import tensorflow_datasets as tfds

        self.directory, self.split = directory, split
        with self._damage_explained():
            self._builder: Any = tfds.builder_from_directory(str(directory))
            info: Any = self._builder.info
            if split not in info.splits:
                there = f"its splits: {', '.join(sorted(info.splits)) or 'none'}; see `test_split`"
                raise UserError(f"data set {info.full_name} has no split {split!r}; {there}")
            self.count = info.splits[split].num_examples
            self.image_key, self.label_key = _image_and_label(info)
            # Only these two features are decoded, whatever else an example holds.
            features = {key: info.features[key] for key in (self.image_key, self.label_key) if key}
            self._features: Any = tfds.features.FeaturesDict(features)
        image_shape = self._features[self.image_key].shape
        if None in image_shape:
            sizes = f"the images of {info.full_name} have no fixed size"
            raise UserError(f"{sizes}: export them as files and use folder:PATH, which crops and resizes")
        self.shape = (self.count, *image_shape)

    def __getitem__(self, indices: Int[np.ndarray, " k"]) -> UInt8[np.ndarray, "k h w c"]:
        with self._damage_explained():
            return self._decode(self._records(indices.tolist()), len(indices))[0]

    @functools.cached_property
    def by_index(self) -> Any:
        """The serialized examples by index.

        Raises:
            UserError: They are not stored as array_record.
        """
        info = self._builder.info
        if info.file_format.value != "array_record":
            what = f"data set {info.full_name} is stored as {info.file_format.value}, which cannot be read by index"
            raise UserError(f"{what}: prepare it with --file_format=array_record, or use `placement` device")
        with self._damage_explained():
            return self._builder.as_data_source(self.split).data_source

    def arrays(self) -> dict[str, np.ndarray]:
        """All `images`, uint8 [n, height, width, channels], and their `labels`, int64 [n], empty if there are none.

        Raises:
            UserError: The data set is damaged.
        """
        with self._damage_explained():
            if self._builder.info.file_format.value == "tfrecord":  # the format that TFDS writes with TensorFlow
                paths = self._builder.info.splits[self.split].filepaths
                records = itertools.chain.from_iterable(_tfrecords(Path(path)) for path in paths)
            else:
                records = self._records(range(self.count))
            images, labels = self._decode(records, self.count)
        return {"images": images, "labels": labels if self.label_key else labels[:0]}

    def _records(self, indices: Sequence[int]) -> Iterator[bytes]:
        """The serialized examples at `indices`."""
        for start in range(0, len(indices), CHUNK):
            yield from self.by_index.__getitems__(indices[start : start + CHUNK])

    def _decode(self, records: Iterable[bytes], count: int) -> tuple[np.ndarray, np.ndarray]:
        """The images and labels of `count` serialized examples; a label is 0 if there is none."""
        done, images, labels = 0, np.zeros((count, *self.shape[1:]), np.uint8), np.zeros(count, np.int64)
        for done, record in enumerate(records, 1):
            example = self._features.deserialize_example_np(record)
            images[done - 1], labels[done - 1] = example[self.image_key], example.get(self.label_key, 0)
        if done != count or not done:
            raise ValueError(f"it holds {done} of {count} images")
        return images, labels

    @contextlib.contextmanager
    def _damage_explained(self) -> Iterator[None]:
        """Turn every error of TFDS, ArrayRecord, protobuf, JSON and OpenCV into a UserError."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            remedy = "delete it and prepare it again"
            raise UserError(f"the data set in {self.directory} is damaged ({reason}); {remedy}") from error


def _image_and_label(info: Any) -> tuple[str, str | None]:
    """The keys of the image and of the label: those called so, else the first of their kinds."""
    import tensorflow_datasets as tfds

    kinds: Any = tfds.features.Image | tfds.features.Tensor
    features = dict(info.features)
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    images = [
        key
        for key, feature in features.items()
        if isinstance(feature, kinds) and len(feature.shape) == 3 and feature.np_dtype == np.uint8
    ]
    if not images:
        raise UserError(f"data set {info.full_name} has no uint8 image of rank 3; its features: {', '.join(features)}")
    return "image" if "image" in images else images[0], "label" if "label" in labels else next(iter(labels), None)


def _tfrecords(path: Path) -> Iterator[bytes]:
    """Records of a TFRecord file: length (uint64), its CRC (4 bytes), the record, its CRC (4 bytes).

    The format: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
    """
    with path.open("rb") as file:
        while header := file.read(12):
            length = int.from_bytes(header[:8], "little")
            record = file.read(length)
            if len(file.read(4)) != 4:
                raise ValueError(f"{path.name} is truncated")
            yield record
