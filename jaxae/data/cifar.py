"""CIFAR-10 and CIFAR-100 from their official binary archives, through TFDS without TensorFlow.

As in `jaxae.data.idx`, only unpacking, parsing and encoding are replaced. The archive is read in one pass and never
unpacked: a record is one byte for each label, then the 32×32 red, green and blue planes
(https://www.cs.toronto.edu/~kriz/cifar.html).
"""

import gzip
import tarfile
import zlib
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.image_classification import Cifar10 as OfficialCifar10
from tensorflow_datasets.image_classification import Cifar100 as OfficialCifar100

from jaxae.data.official import png
from jaxae.errors import UserError

PIXELS = 32 * 32 * 3
LARGEST = 50_000 * (2 + PIXELS)  # bytes of the largest member there is: the training part of CIFAR-100


def read_members(path: Path, names: list[str]) -> dict[str, bytes]:
    """The contents of the regular files `names` in the gzipped tar file `path`; UserError if one is missing."""
    found = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                if member.name in names and member.isfile() and member.size <= LARGEST:
                    found[member.name] = archive.extractfile(member).read()
    except (EOFError, tarfile.TarError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is truncated or no gzipped tar file ({error}); fetch it again") from error
    if missing := [name for name in names if name not in found]:
        raise UserError(f"{path} has no file {missing[0]}; it is not the official archive")
    return found


class _FromArchive:
    """The TensorFlow-free half of a builder whose other half is an official one."""

    def _split_generators(self, dl_manager):
        official = self._cifar_info
        path = Path(dl_manager.download(official.url))
        parts = {"train": official.train_files, "test": official.test_files}
        names = [official.prefix + file for files in (*parts.values(), official.label_files) for file in files]
        content = read_members(path, names)
        for key, file in zip(official.label_keys, official.label_files, strict=True):
            self.info.features[key].names = content[official.prefix + file].decode().split()
        return {
            split: self._generate_examples(f"{split}_", b"".join(content[official.prefix + file] for file in files))
            for split, files in parts.items()
        }

    def _generate_examples(self, prefix, records):
        keys = self._cifar_info.label_keys
        records = np.frombuffer(records, np.uint8).reshape(-1, len(keys) + PIXELS)
        for index, record in enumerate(records):
            image = record[len(keys) :].reshape(3, 32, 32).transpose(1, 2, 0)
            labels = {key: int(label) for key, label in zip(keys, record, strict=False)}
            yield index, {"id": f"{prefix}{index:05d}", "image": png(image), **labels}


with tfds.core.registered.skip_registration():

    class Cifar10(_FromArchive, OfficialCifar10):
        """CIFAR-10 (Krizhevsky, 2009)."""

        name = "cifar10"

    class Cifar100(_FromArchive, OfficialCifar100):
        """CIFAR-100 (Krizhevsky, 2009)."""

        name = "cifar100"
