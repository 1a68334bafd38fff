"""The metrics and test images of a run for TensorBoard, in the run's `tensorboard/`: what `--log.tensorboard` writes.

TensorBoard shows each epoch once: a log that is opened again purges what a stopped run has written of later epochs.
"""

import importlib.util
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree, UInt8

from jaxae.errors import UserError
from jaxae.models import Autoencoder
from jaxae.run import samples
from jaxae.run.test_set import TestSet

FOLDER = "tensorboard"
COLUMNS, SCALE = 8, 3


def require() -> None:
    """Raise UserError where a package is missing."""
    for package in ("tensorboardX", "tensorboard"):  # one writes the files, the other shows them
        if importlib.util.find_spec(package) is None:
            raise UserError(f"--log.tensorboard needs the package {package}: pip install 'jaxae[tensorboard]'")


class Log(AbstractContextManager):
    """Writes to a run's event files; a context manager."""

    def __init__(self, run_dir: Path, history: list[dict[str, Any]]):
        """Open the log after the epochs in `history`, which are written now where there are no event files yet."""
        from tensorboardX import SummaryWriter

        folder = run_dir / FOLDER
        is_new = not any(folder.glob("events.*"))
        last = history[-1]["epoch"] if history else 0
        # a file for each opening: two within a second would have one name
        self._writer = SummaryWriter(str(folder), purge_step=last + 1, filename_suffix=f".{last:06}")
        for record in history if is_new else ():
            self.write(record)

    def __exit__(self, *_: Any) -> None:
        self._writer.close()

    def write(self, record: dict[str, Any], picture: UInt8[np.ndarray, "height width channels"] | None = None) -> None:
        """Log the metrics of an epoch, and an image beside them (see `picture`)."""
        for name, value in record.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, record["epoch"])
        if picture is not None:
            self._writer.add_image("test_images", picture, record["epoch"], dataformats="HWC")
        self._writer.flush()


def picture(model: Autoencoder, params: PyTree, test: TestSet) -> UInt8[np.ndarray, "height width channels"]:
    """Rows in one picture: the first test images with noise on them, restored, and, where they are known, clean."""
    first = np.arange(min(COLUMNS, len(test.images)))
    clean, noisy, restored, *_ = samples.restore(model, jax.device_get(params), test.images, first, test.noise)
    rows = np.stack([noisy, restored] if test.alone else [noisy, restored, clean])
    count, columns, height, width, channels = rows.shape
    image = rows.transpose(0, 2, 1, 3, 4).reshape(count * height, columns * width, channels)
    return np.rint(255 * image).astype(np.uint8).repeat(SCALE, axis=0).repeat(SCALE, axis=1)
