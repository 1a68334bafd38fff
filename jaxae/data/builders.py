"""TFDS builders that need no TensorFlow, for the official data sets and the embedded ones.

Of an official builder only what TFDS does with TensorFlow is replaced (unpacking, parsing, encoding). The addresses,
checksums, version, features and example keys stay, so that what is prepared here opens with `tfds.builder`.

An embedded data set is made by a module with SHAPE, CLASSES (or None), SIZES, VERSION, `description()` and
`generate(split, size)`, which yields the first `size` images of a split in chunks: `uint8` images and their labels (or
None). Each has a small variant, which is prepared faster.
"""

import importlib
import os
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import registered

from jaxae.data import layouts, official
from jaxae.data.places import SMALL

SHARE = 5  # the small variant is the first fifth of either split


def find_builder(name: str) -> Any:
    """The TFDS builder class of an official or embedded data set, such as `mnist` or `digits_small`."""
    base: Any = tfds.builder_cls(name) if name in official.OFFICIAL else None
    # TFDS keeps a registry of builders by name: the official ones stay in it.
    with registered.skip_registration():
        return _official(name, base) if base else _embedded(name)


def _official(dataset: str, base: Any) -> Any:
    class Official(base):
        name = dataset
        found: layouts.OfficialData | None = None  # what to prepare; by default what is downloaded

        def _split_generators(self, dl_manager):
            cifar = getattr(self, "_cifar_info", None)
            self.keys = cifar.label_keys if cifar else ["label"]
            found = self.found or _download(dataset, dl_manager)
            for key, names in zip(self.keys, found.classes, strict=False):
                self.info.features[key].names = names
            return {name: self._generate_examples(name, split) for name, split in found.splits.items()}

        def _generate_examples(self, name, split):
            for index, (image, numbers) in enumerate(zip(split.images, split.labels, strict=True)):
                png = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
                example = {"id": f"{name}_{index:05d}", "image": png}
                example |= {key: int(number) for key, number in zip(self.keys, numbers, strict=True)}
                yield index, {key: example[key] for key in self.info.features}

    return Official


def _download(dataset: str, dl_manager: Any) -> layouts.OfficialData:
    files = {name: url for url, (name, _) in official.official_files(dataset).items()}
    with tempfile.TemporaryDirectory() as folder:  # TFDS gives the files names of its own
        for name, path in dl_manager.download(files).items():
            os.symlink(os.path.abspath(path), Path(folder, name))
        return layouts.find_layouts(dataset, Path(folder))[0]


def _embedded(dataset: str) -> Any:
    module = importlib.import_module(f"jaxae.data.{dataset.removesuffix(SMALL)}")
    share = SHARE if dataset.endswith(SMALL) else 1
    # Stored as raw bytes: twice as fast to read as PNG, and as small once compressed.
    image = tfds.features.Tensor(shape=module.SHAPE, dtype=np.uint8, encoding=tfds.features.Encoding.BYTES)
    features: dict[str, Any] = {"image": image}
    if module.CLASSES is not None:
        features["label"] = tfds.features.ClassLabel(num_classes=module.CLASSES)

    class Embedded(tfds.core.GeneratorBasedBuilder):
        name = dataset
        VERSION = tfds.core.Version(module.VERSION)

        def _info(self):
            # The images are independent draws, which need no shuffling.
            settings: dict[str, Any] = {"description": module.description(), "disable_shuffling": True}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features), **settings)

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in module.SIZES}

        def _generate_examples(self, split):
            index = 0
            for images, labels in module.generate(split, module.SIZES[split] // share):
                for i, pixels in enumerate(images):
                    yield index, {"image": pixels} | ({} if labels is None else {"label": int(labels[i])})
                    index += 1

    return Embedded
