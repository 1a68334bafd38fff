"""Data sets as one `uint8` array: TFDS without TensorFlow, embedded data sets, and folders of images.

A data set is known by its TFDS name (`mnist`, `cifar10`, `emnist/letters`), by the name of an embedded one (`digits`),
as `folder:PATH`, or as `pairs:NOISY,CLEAN`. `resolve` settles what `auto` means, `ensure` prepares what is missing,
`load` gives the pixels.
"""

from jaxae.data.catalog import (
    Resolved,
    absolute,
    are_pairs,
    are_pictures,
    count_bytes,
    describe,
    ensure,
    limits,
    load,
    load_labels,
    resolve,
)
from jaxae.data.places import Entry, available, default_data_dir
from jaxae.data.preparation import prepare

__all__ = [
    "Entry",
    "Resolved",
    "absolute",
    "are_pairs",
    "are_pictures",
    "available",
    "count_bytes",
    "default_data_dir",
    "describe",
    "ensure",
    "limits",
    "load",
    "load_labels",
    "prepare",
    "resolve",
]
