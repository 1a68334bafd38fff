"""A prepared TFDS data set read by index, image by image: for data that the host's memory cannot hold."""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from jaxae.data import prepared
from jaxae.errors import UserError


class Records:
    """The first `limit` images of `split` of the data set in `directory`, decoded anew whenever they are asked for.

    UserError where the data set has no such split, no image feature, or a file format without access by index.
    """

    def __init__(self, directory: Path, split: str, limit: int | None = None):
        import tensorflow_datasets as tfds

        self._builder = prepared.open_builder(directory)
        info = self._builder.info
        split = prepared.find_split(info, split)
        if info.file_format.value != "array_record":
            raise UserError(
                f"data set {info.full_name} is stored as {info.file_format.value}, which cannot be read by index: "
                "prepare it with --file_format=array_record, or use --data.placement device"
            )
        self._image_key, _ = prepared.image_and_label(info.features, info.supervised_keys, info.full_name)
        self._features = tfds.features.FeaturesDict({self._image_key: info.features[self._image_key]})
        self._records = self._builder.as_data_source(split).data_source
        count = info.splits[split].num_examples
        with prepared.damage_explained(self._builder):
            first = self._decode(self._records[0])
        self.shape = (min(count, limit or count), *first.shape)

    @property
    def nbytes(self) -> int:
        """What all the images take in memory."""
        return int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: Int[np.ndarray, " k"]) -> UInt8[np.ndarray, "k h w c"]:
        images = np.empty((len(indices), *self.shape[1:]), np.uint8)
        with prepared.damage_explained(self._builder):
            for start in range(0, len(indices), prepared.CHUNK):
                records = self._records.__getitems__(indices[start : start + prepared.CHUNK].tolist())
                for number, record in enumerate(records, start):
                    image = self._decode(record)
                    if image.shape != self.shape[1:]:
                        raise prepared.sizes_vary(self._builder.info.full_name, self.shape[1:], image.shape)
                    images[number] = image
        return images

    def _decode(self, record: bytes) -> np.ndarray:
        return self._features.deserialize_example_np(record)[self._image_key]


def count_bytes(directory: Path, split: str) -> int:
    """About what the images of `split` take in memory."""
    builder = prepared.open_builder(directory)
    info, split = builder.info, prepared.find_split(builder.info, split)
    key = prepared.image_and_label(info.features, info.supervised_keys, info.full_name)[0]
    shape = info.features[key].shape
    if None in shape:  # known from an image alone
        with prepared.damage_explained(builder):
            record = next(iter(prepared.serialized(builder, split)))
            shape = type(info.features)({key: info.features[key]}).deserialize_example_np(record)[key].shape
    return info.splits[split].num_examples * math.prod(shape)
