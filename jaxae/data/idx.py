"""MNIST, Fashion-MNIST and KMNIST through TFDS without TensorFlow.

Only what TFDS does with TensorFlow is replaced (unpacking, parsing, encoding); the addresses, checksums, version,
features and example keys stay those of the official builders, so what is prepared here opens with `tfds.builder`.
"""

from pathlib import Path

import tensorflow_datasets as tfds
from tensorflow_datasets.image_classification import KMNIST, MNIST, FashionMNIST

from jaxae.data import layouts
from jaxae.data.official import png

FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


class _FromIdx:
    """The TensorFlow-free half of a builder whose other half is an official one."""

    found: layouts.Found | None = None  # what to prepare; by default what is downloaded

    def _split_generators(self, dl_manager):
        found = self.found
        if found is None:
            paths = dl_manager.download({name: self.URL + name for names in FILES.values() for name in names})
            files = {name: Path(path).read_bytes for name, path in paths.items()}
            found = layouts.read_idx_files(Path("the download"), files)
        return {name: self._generate_examples(split) for name, split in found.splits.items()}

    def _generate_examples(self, split):
        for index, (image, labels) in enumerate(zip(split.images, split.labels, strict=True)):
            yield index, {"image": png(image[..., 0]), "label": int(labels[0])}


# TFDS keeps a registry of builders by name: the official ones, imported above, stay in it; these do not enter it.
with tfds.core.registered.skip_registration():

    class Mnist(_FromIdx, MNIST):
        """MNIST (LeCun, Cortes and Burges)."""

        name = "mnist"

    class FashionMnist(_FromIdx, FashionMNIST):
        """Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017)."""

        name = "fashion_mnist"

    class Kmnist(_FromIdx, KMNIST):
        """Kuzushiji-MNIST (Clanuwat et al., 2018)."""

        name = "kmnist"
