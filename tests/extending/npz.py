"""Images in a NumPy archive as a data source: `npz:PATH`.

    python -m jaxae.experiments.mnist_denoise --import tests.extending.npz --data.name npz:images.npz

The archive holds the arrays `train` and `test`, uint8 [n, height, width, channels], as from ``numpy.savez``. Pairs have
`train_noisy` and `test_noisy` too, of the same shapes.
"""

import zipfile

import numpy as np

from jaxae import data
from jaxae.errors import UserError


@data.source("npz")
class NpzDataset(data.Dataset):
    """The arrays of an archive, all in memory."""

    def __init__(self, path, options):
        """Read the archive at `path`."""
        try:
            with np.load(path) as archive:
                self.arrays = dict(archive)
        except (ValueError, TypeError, zipfile.BadZipFile) as error:
            raise UserError(f"{self.name} is no archive of arrays: write one with numpy.savez") from error
        self.has_pairs = "train_noisy" in self.arrays

    def load(self, split):
        """Return the images of `split`."""
        names = [split, f"{split}_noisy"] if self.has_pairs else [split]
        if missing := [name for name in names if name not in self.arrays]:
            raise UserError(f"{self.name} has no array {missing[0]!r}; it has {', '.join(self.arrays)}")
        return data.Images(*(self.arrays[name] for name in names))
