"""Data sets: TFDS without TensorFlow, embedded ones, and people's own pictures, alone or in pairs.

`open` gives the `Dataset` that a name stands for: a TFDS name (`mnist`, `cifar10`, `emnist/letters`), an embedded data
set (`digits`), `folder:PATH`, `pairs:NOISY,CLEAN`, `parquet:FOLDER`, `csv:FOLDER`, or a name of a source that was
registered with `source`. `Dataset.load` gives its `Images`.
"""

from jaxae.data import catalog, folder, pairs, tables  # noqa: F401 (each registers its source)
from jaxae.data.dataset import Dataset, Options, find_source, open, source
from jaxae.data.images import Images, check_images
from jaxae.data.pictures.picture import parse_value_range
from jaxae.data.places import Entry, available, default_data_dir
from jaxae.data.preparation import prepare

__all__ = ["Dataset", "Entry", "Images", "Options", "available", "check_images", "default_data_dir", "find_source"]
__all__ += ["open", "parse_value_range", "prepare", "source"]
