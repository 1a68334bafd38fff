"""Data sets as objects, and where they come from: `open` makes the `Dataset` that a name stands for.

A name is `PREFIX:PATH` for a registered source, else the name of a data set that TFDS or jaxae prepares. A new source
is a subclass of `Dataset` in a module that is imported before the name is opened:

    from jaxae import data

    @data.source("npz")
    class Npz(data.Dataset):
        def __init__(self, path: str, options: data.Options):
            self.arrays = np.load(path)

        def load(self, split: str) -> data.Images:
            return data.Images(self.arrays[split])

    data.open("npz:images.npz").load("train")
"""

import abc
import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Int

from jaxae import files
from jaxae.data.images import Images
from jaxae.errors import UserError
from jaxae.registry import Registry

SOURCES: Registry[type["Dataset"]] = Registry("data source")  # by prefix; the empty prefix stands for names without one
_Class = TypeVar("_Class", bound="type[Dataset]")


class Options(NamedTuple):
    """The options of `open`. A source refuses those that it cannot follow and ignores those that do not concern it.

    Attributes:
        data_dir: The directory of prepared data sets; None for the default ones.
        image_shape: Height, width and channels to which pictures of any size are cut.
        value_range: The values of black and white in pictures of more than 8 bits; None for those of each file.
        resize: Whether pictures may be resized. Without, they are cut into pieces, so that their noise stays as it is.
        test_split: The split of a TFDS data set that `load("test")` gives.
    """

    data_dir: Path | None = None
    image_shape: tuple[int, int, int] = (32, 32, 3)
    value_range: tuple[float, float] | None = None
    resize: bool = True
    test_split: str = "test"

    def stored_split(self, split: str) -> str:
        """The split that the data set stores for `split`."""
        return self.test_split if split == "test" else split


class Dataset(abc.ABC):
    """A data set with the splits "train" and "test". Equal ones were opened with the same name and options.

    A subclass has to give `load`; all else has a default. It is made with `(path, options)`.

    Attributes:
        prefix: The prefix that the class is registered under.
        takes_value_range: Whether `open` accepts a `value_range`.
        is_local_files: Whether the name holds paths of files, which may have moved since.
        has_pairs: Whether images come as pairs of noisy and clean ones; may depend on the files.
        name: The name, its paths absolute, so that it can be opened from any directory.
        options: What the data set was opened with.
    """

    prefix: ClassVar[str] = ""
    takes_value_range: ClassVar[bool] = False
    is_local_files: ClassVar[bool] = True
    has_pairs: bool = False
    name: str
    options: Options

    def __new__(cls, path: str, options: Options):
        """Set the name and the options: a subclass need not call its base's `__init__`."""
        self = super().__new__(cls)
        self.name, self.options = f"{cls.prefix}:{path}" if cls.prefix else path, options
        return self

    @classmethod
    def absolute(cls, path: str) -> str:
        """What follows the prefix, as `name` records it. By default one path, which is made absolute."""
        return os.path.abspath(files.local_path(path))

    @property
    def description(self) -> str | None:
        """A phrase that tells how a person's own images were split; None if the makers of the data set split it."""
        return None

    @abc.abstractmethod
    def load(self, split: str) -> Images:
        """The images of a split as NumPy arrays.

        Raises:
            UserError: There is no such split, or its images cannot be read or have several sizes.
        """

    def load_labels(self, split: str) -> Int[np.ndarray, " n"] | None:
        """The class labels of the images of `load`; None if there are none."""
        del split
        return None

    def state(self) -> str:
        """What changes with the files: images that were loaded in another state are outdated."""
        return ""

    def nbytes(self, split: str) -> int:
        """About the size of what `load` gives. By default the split is loaded for it."""
        return self.load(split).nbytes

    def records(self, split: str, limit: int | None = None) -> Images:
        """The first `limit` images of a split, each read when it is indexed, where the source can do that.

        By default they are loaded.
        """
        return self.load(split).take(slice(limit))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dataset) and (self.name, self.options) == (other.name, other.options)

    def __hash__(self) -> int:
        return hash((self.name, self.options))


def source(prefix: str) -> Callable[[_Class], _Class]:
    """Register a subclass of `Dataset` for the names `PREFIX:PATH`, as a decorator."""

    def register(cls: _Class) -> _Class:
        SOURCES[prefix], cls.prefix = cls, prefix
        return cls

    return register


def find_source(name: str) -> type[Dataset]:
    """The class of the data set `name`, which tells what is known of it before it is opened."""
    prefix, colon, _ = name.partition(":")
    return SOURCES[prefix if colon and prefix in SOURCES else ""]


def open(
    name: str,
    data_dir: Path | None = None,
    *,
    image_shape: tuple[int, int, int] = (32, 32, 3),
    value_range: tuple[float, float] | None = None,
    resize: bool = True,
    test_split: str = "test",
) -> Dataset:
    """The data set `name`, prepared first if need be. See `Options` for the other arguments.

    Raises:
        UserError: The data set is unknown or cannot be prepared, it has too few images, or an option does not suit it.
    """
    cls = find_source(name)
    if value_range is not None and not cls.takes_value_range:
        raise UserError(f"`data.range` is for pictures of more than 8 bits in a folder, not for {name}: leave it out")
    path = name.removeprefix(f"{cls.prefix}:") if cls.prefix else name
    return cls(cls.absolute(path), Options(data_dir, image_shape, value_range, resize, test_split))
