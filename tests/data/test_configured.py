"""The images of a run."""

import numpy as np
from PIL import Image

from jaxae.config import DataConfig
from jaxae.data import open as open_dataset
from jaxae.data.configured import load_configured


def test_a_folder_that_has_changed_since_the_last_run_of_a_process_is_read_anew(tmp_path):
    """As in a notebook."""
    random = np.random.default_rng(0)
    for number in range(12):
        Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(tmp_path / f"{number}.png")

    def load():
        dataset = open_dataset(f"folder:{tmp_path}", image_shape=(8, 8, 1))
        return load_configured(dataset, DataConfig(), "device", 0)

    before, same = load(), load()
    assert same.train.clean.base is before.train.clean.base  # the members of a sweep share their images
    for path in tmp_path.iterdir():
        Image.new("L", (8, 8), int(path.stem)).save(path)
    after = load()
    assert after.train.clean.max() < 12
    assert before.train.clean.max() > 12
