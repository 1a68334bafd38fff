"""Images in tables: Hugging Face's parquet files, `parquet:FOLDER`, and Kaggle's CSV files, `csv:FOLDER`."""

import abc
import functools
import math
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt

from jaxae.data import array_cache
from jaxae.data.dataset import Dataset, Options, source
from jaxae.data.images import Images
from jaxae.data.pictures.files import naming
from jaxae.errors import UserError

Rows = tuple[UInt[np.ndarray, "n h w c"], Int64[np.ndarray, " n"] | None]  # images, and labels if there are any


class TableDataset(Dataset):
    """The files below a folder whose names have the name of a split in them: `train-00000-of-00001.parquet`.

    The prefix of a data set's name is the suffix of its files.
    """

    def __init__(self, path: str, options: Options):
        self.folder = Path(path)
        for split in ("train", "test"):
            if not self.files(split):
                what = f"no .{self.prefix} file with {options.stored_split(split)!r} in its name"
                raise UserError(f"{self.name}: there is {what}; give the folder of the files of both splits")

    def files(self, split: str) -> list[Path]:
        """The files of a split."""
        word, found = self.options.stored_split(split), sorted(self.folder.rglob(f"*.{self.prefix}"))
        return [path for path in found if word in path.stem.lower() and not path.name.startswith(".")]

    @classmethod
    @abc.abstractmethod
    def read(cls, file: Path) -> Rows:
        """The images and labels in a file."""

    def load(self, split: str) -> Images:
        """The images of a split, in the order of the rows."""
        return Images(_read(type(self), tuple(self.files(split)), self.state())[0])

    def load_labels(self, split: str) -> Int64[np.ndarray, " n"] | None:
        """The labels of the images of `load`; None if there are none."""
        return _read(type(self), tuple(self.files(split)), self.state())[1]

    def state(self) -> str:
        """A digest of the files of both splits."""
        return array_cache.state_digest([file for split in ("train", "test") for file in self.files(split)])


@functools.lru_cache(maxsize=2)
def _read(kind: type[TableDataset], files: tuple[Path, ...], _state: str) -> Rows:
    parts = []
    for file in files:
        with naming(file):
            parts.append(kind.read(file))
    images, labels = zip(*parts, strict=True)
    return np.concatenate(images), None if labels[0] is None else np.concatenate(labels)


@source("parquet")
class ParquetDataset(TableDataset):
    """Encoded pictures of one size, as in `mnist` and `cifar10` of Hugging Face."""

    @classmethod
    def read(cls, file: Path) -> Rows:
        """The images in the column that has a field `bytes`, and the first column whose name ends in `label`."""
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise UserError("needs the package pyarrow: pip install pyarrow") from error
        import cv2

        rows = parquet.read_table(file).to_pydict()
        column = next((x for x in rows.values() if x and isinstance(x[0], dict) and "bytes" in x[0]), None)
        if column is None:
            raise UserError("no column of it holds pictures, or it has no rows")
        encoded = (np.frombuffer(cell["bytes"], np.uint8) for cell in column)
        pictures = [np.asarray(cv2.imdecode(each, cv2.IMREAD_UNCHANGED)) for each in encoded]
        shape = pictures[0].shape  # () of a damaged one
        if len({(x.shape, x.dtype) for x in pictures}) > 1 or not shape or shape[2:] not in ((), (3,)):
            raise UserError("some of its pictures differ in size, depth or colours, are damaged, or have alpha")
        images = np.stack(pictures)
        labels = next((x for name, x in rows.items() if name.endswith("label")), None)
        images = images[..., None] if images.ndim == 3 else images[..., ::-1]  # OpenCV's order is blue, green, red
        return images, None if labels is None else np.array(labels, np.int64)


@source("csv")
class CsvDataset(TableDataset):
    """Square gray images, a row of values each, as in Kaggle's `mnist_train.csv`: `label,pixel0,…` or `label,1x1,…`."""

    @classmethod
    def read(cls, file: Path) -> Rows:
        """The images and, if there are any, the labels, which are in the first column or the one that is called so."""
        with file.open(encoding="utf-8-sig") as lines:
            first = next(lines).strip().replace('"', "").split(",")
        has_names = not first[0].isdigit()
        rows = np.loadtxt(
            file, np.int64, None, ",", skiprows=int(has_names), ndmin=2, encoding="utf-8-sig", quotechar='"'
        )
        at = first.index("label") if "label" in first else None if has_names else 0
        values, side = rows if at is None else np.delete(rows, at, axis=1), math.isqrt(len(first) - (at is not None))
        if values.shape[1] != side**2 or values.min() < 0 or values.max() > 255:
            raise UserError(f"rows of {len(first)} cells are no square images of values from 0 to 255")
        return values.astype(np.uint8).reshape(-1, side, side, 1), None if at is None else rows[:, at]
