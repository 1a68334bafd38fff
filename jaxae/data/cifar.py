"""CIFAR-10 and CIFAR-100 through TFDS without TensorFlow.

As in `jaxae.data.idx`, only unpacking, parsing and encoding are replaced.
"""

from pathlib import Path

import tensorflow_datasets as tfds
from tensorflow_datasets.image_classification import Cifar10 as OfficialCifar10
from tensorflow_datasets.image_classification import Cifar100 as OfficialCifar100

from jaxae.data import layouts
from jaxae.data.official import png


class _FromArchive:
    """The TensorFlow-free half of a builder whose other half is an official one."""

    found: layouts.Found | None = None  # what to prepare; by default what is downloaded

    def _split_generators(self, dl_manager):
        official = self._cifar_info
        found = self.found
        if found is None:
            found = layouts.read_archive(self.name, Path(dl_manager.download(official.url)))
        for key, names in zip(official.label_keys, found.classes, strict=True):
            self.info.features[key].names = names
        return {name: self._generate_examples(f"{name}_", split) for name, split in found.splits.items()}

    def _generate_examples(self, prefix, split):
        keys = self._cifar_info.label_keys
        for index, (image, numbers) in enumerate(zip(split.images, split.labels, strict=True)):
            labels = {key: int(number) for key, number in zip(keys, numbers, strict=True)}
            yield index, {"id": f"{prefix}{index:05d}", "image": png(image), **labels}


with tfds.core.registered.skip_registration():

    class Cifar10(_FromArchive, OfficialCifar10):
        """CIFAR-10 (Krizhevsky, 2009)."""

        name = "cifar10"

    class Cifar100(_FromArchive, OfficialCifar100):
        """CIFAR-100 (Krizhevsky, 2009)."""

        name = "cifar100"
