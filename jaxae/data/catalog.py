"""Data sets that are prepared once: those of TFDS, and the embedded ones."""

from typing import Literal

import numpy as np
from jaxtyping import Int

from jaxae.data import array_cache
from jaxae.data.dataset import Dataset, Options, source
from jaxae.data.images import Images
from jaxae.data.preparation import prepare
from jaxae.data.prepared import StoredSplit


@source("")
class PreparedDataset(Dataset):
    """A prepared TFDS data set.

    The first `load` decodes all images of a split and keeps the pixels in `directory`/jaxae_cache, if that can be
    written. Later ones read them from there.

    Attributes:
        directory: Where it is prepared.
    """

    is_local_files = False

    def __init__(self, path: str, options: Options):
        self.directory = prepare(path, options.data_dir)

    @classmethod
    def absolute(cls, path: str) -> str:
        """The name as it is."""
        return path

    def load(self, split: str) -> Images:
        """The images of a split, in the order in which TFDS stores them."""
        return Images(self._array(split, "images"))

    def load_labels(self, split: str) -> Int[np.ndarray, " n"] | None:
        """The class labels of the images of `load`; None if there are none."""
        labels = self._array(split, "labels")
        return labels if labels.size else None

    def _array(self, split: str, what: Literal["images", "labels"]) -> np.ndarray:
        cache = self.directory / "jaxae_cache" / f"{self.options.stored_split(split)}.npz"
        key = array_cache.state_digest(sorted(path for path in self.directory.iterdir() if path.is_file()))
        arrays = array_cache.load_arrays(cache, key, what)
        if arrays is None:
            arrays = self._stored(split).arrays()
            # A directory marked read-only is left as it is, even by root, whom permissions do not bind.
            if self.directory.stat().st_mode & 0o222:
                array_cache.save_arrays(cache, key, arrays)
        return arrays[what]

    def nbytes(self, split: str) -> int:
        """About the size of what `load` gives, without loading it."""
        return Images(self._stored(split)).nbytes

    def records(self, split: str, limit: int | None = None) -> Images:
        """The first `limit` images of a split, each decoded when it is indexed.

        Raises:
            UserError: They are not stored as array_record.
        """
        stored = self._stored(split)
        _ = stored.by_index
        return Images(stored).select(np.arange(min(stored.count, limit or stored.count)))

    def _stored(self, split: str) -> StoredSplit:
        return StoredSplit(self.directory, self.options.stored_split(split))
