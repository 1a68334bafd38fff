"""A prepared TFDS data set of a test's own."""

from pathlib import Path

import numpy as np


def write_few(data_dir: Path, name: str, channels: int, size: int, train: int = 512, test: int = 64) -> None:
    """Write `name` as a data set of few pictures of squares, to stand in for one whose images take long to read."""
    import tensorflow_datasets as tfds

    random = np.random.default_rng(0)

    def pictures(count: int) -> list[dict]:
        images = np.zeros((count, size, size, channels), np.uint8)
        for image in images:
            top, left, side = random.integers(0, size // 2, 3)
            image[top : top + side + 4, left : left + side + 4] = random.integers(80, 256, channels)
        return [{"image": image, "label": number % 10} for number, image in enumerate(images)]

    features = {
        "image": tfds.features.Tensor(shape=(size, size, channels), dtype=np.uint8),
        "label": tfds.features.ClassLabel(num_classes=10),
    }
    write_tiny(data_dir, features, {"train": pictures(train), "test": pictures(test)}, name)


def write_tiny(
    data_dir: Path, features: dict, splits: dict[str, list[dict]], name: str = "tiny", file_format: str = "array_record"
) -> Path:
    """Write the data set `name` with the examples of each of `splits`; its directory."""
    import tensorflow_datasets as tfds

    with tfds.core.registered.skip_registration():

        class Tiny(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                return tfds.core.DatasetInfo(
                    builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
                )

            def _split_generators(self, dl_manager):
                return {split: self._generate_examples(examples) for split, examples in splits.items()}

            def _generate_examples(self, examples):
                yield from enumerate(examples)

    Tiny.name = name
    builder = Tiny(data_dir=str(data_dir), file_format=file_format)
    builder.download_and_prepare()
    return Path(builder.data_dir)
