"""MNIST, Fashion-MNIST and KMNIST from their official idx files, through TFDS without TensorFlow.

Only what TFDS does with TensorFlow is replaced (unpacking, parsing, encoding); the addresses, checksums, version,
features and example keys stay those of the official builders, so what is prepared here opens with `tfds.builder`.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import UInt8
from tensorflow_datasets.image_classification import KMNIST, MNIST, FashionMNIST

from jaxae.data.official import png
from jaxae.errors import UserError

FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
UNSIGNED_BYTE = 0x08


def read_idx(path: Path) -> UInt8[np.ndarray, "..."]:
    """The array in a gzipped idx file of unsigned bytes, the format of http://yann.lecun.com/exdb/mnist/.

    Header: two zero bytes, the type code, the rank, then one big-endian uint32 per axis. UserError if the file is no
    such file or ends early.
    """
    try:
        with gzip.open(path) as file:
            content = file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is truncated or no gzip file ({error}); fetch it again") from error
    rank = content[3] if len(content) >= 4 else 0
    shape = np.frombuffer(content[4 : 4 + 4 * rank].ljust(4 * rank, b"\0"), ">u4").astype(int)
    pixels = content[4 + 4 * rank :]
    if content[:3] != bytes((0, 0, UNSIGNED_BYTE)) or len(pixels) != math.prod(shape.tolist()):
        raise UserError(f"{path} is not an idx file of unsigned bytes with as many bytes as its header says")
    return np.frombuffer(pixels, np.uint8).reshape(shape)


class _FromIdx:
    """The TensorFlow-free half of a builder whose other half is an official one."""

    def _split_generators(self, dl_manager):
        paths = dl_manager.download({split: [self.URL + name for name in names] for split, names in FILES.items()})
        return {split: self._generate_examples(*files) for split, files in paths.items()}

    def _generate_examples(self, images, labels):
        pairs = zip(read_idx(Path(images)), read_idx(Path(labels)), strict=True)
        for index, (image, label) in enumerate(pairs):
            yield index, {"image": png(image), "label": int(label)}


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
