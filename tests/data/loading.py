"""The arrays of a data set in one call."""

from pathlib import Path

import numpy as np

from jaxae import data


def load(name: str, split: str, data_dir: Path | None = None, **options) -> np.ndarray:
    return data.open(name, data_dir, **options).load(split).clean


def load_labels(name: str, split: str, data_dir: Path | None = None, **options) -> np.ndarray | None:
    return data.open(name, data_dir, **options).load_labels(split)
