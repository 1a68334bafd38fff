"""The embedded data sets as TFDS builders: what they are made from lies in a module of their own each.

Such a module offers SHAPE, CLASSES (or None), SIZES, VERSION, `description()` and `generate(split, size)`, which yields
the first `size` images of a split in chunks: `uint8` images and their labels (or None). Each data set has a small
sibling, for what is wanted at once.
"""

import importlib

import numpy as np
import tensorflow_datasets as tfds

from jaxae.data.places import SMALL

SHARE = 5  # the small sibling is the first fifth of either split


def builder_class(dataset: str) -> type[tfds.core.GeneratorBasedBuilder]:
    """The TFDS builder class of the embedded data set `dataset`, such as `digits` or `digits_small`."""
    module = importlib.import_module(f"jaxae.data.{dataset.removesuffix(SMALL)}")
    share = SHARE if dataset.endswith(SMALL) else 1
    # Stored as raw bytes: twice as fast to read as PNG, and as small once compressed.
    image = tfds.features.Tensor(shape=module.SHAPE, dtype=np.uint8, encoding=tfds.features.Encoding.BYTES)
    features = {"image": image}
    if module.CLASSES is not None:
        features["label"] = tfds.features.ClassLabel(num_classes=module.CLASSES)

    with tfds.core.registered.skip_registration():

        class Embedded(tfds.core.GeneratorBasedBuilder):
            name = dataset
            VERSION = tfds.core.Version(module.VERSION)

            def _info(self):
                return tfds.core.DatasetInfo(
                    builder=self,
                    description=module.description(),
                    features=tfds.features.FeaturesDict(features),
                    disable_shuffling=True,  # the images are independent draws
                )

            def _split_generators(self, dl_manager):
                return {split: self._generate_examples(split) for split in module.SIZES}

            def _generate_examples(self, split):
                index = 0
                for images, labels in module.generate(split, module.SIZES[split] // share):
                    for i, pixels in enumerate(images):
                        yield index, {"image": pixels} | ({} if labels is None else {"label": int(labels[i])})
                        index += 1

    return Embedded
