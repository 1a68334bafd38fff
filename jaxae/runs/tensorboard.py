"""Metrics and test images of a run for TensorBoard, in the run's `tensorboard/`.

TensorBoard shows each epoch once: an event file purges what earlier ones hold of its epoch and later ones.
"""

import importlib.util
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree, UInt8

from jaxae.errors import UserError
from jaxae.networks import Network
from jaxae.runs import samples
from jaxae.runs.evaluation_set import EvaluationSet

FOLDER = "tensorboard"
COLUMNS, SCALE = 8, 3


def require_tensorboard() -> None:
    """Raise UserError if a package is missing."""
    for package in ("tensorboardX", "tensorboard"):  # one writes the files, the other shows them
        if importlib.util.find_spec(package) is None:
            raise UserError(f"`tensorboard` needs the package {package}: pip install -e '.[tensorboard]'")


def is_logged(run_dir: Path) -> bool:
    """Return whether epochs of the run were logged before."""
    return any((run_dir / FOLDER).glob("events.*"))


def log_epochs(
    run_dir: Path, records: list[dict[str, Any]], image: UInt8[np.ndarray, "height width channels"] | None = None
) -> None:
    """Log epochs in an event file of their own; an image (see `draw_samples`) is of the last one."""
    from tensorboardX import SummaryWriter

    first, last = records[0]["epoch"], records[-1]["epoch"]
    # a suffix: two files within a second would have one name
    with SummaryWriter(str(run_dir / FOLDER), purge_step=first, filename_suffix=f".{last:06}") as writer:
        for record in records:
            for name in sorted(record.keys() - {"epoch"}):
                writer.add_scalar(name, record[name], record["epoch"])
        if image is not None:
            writer.add_image("test_images", image, last, dataformats="HWC")


def draw_samples(model: Network, params: PyTree, test: EvaluationSet) -> UInt8[np.ndarray, "height width channels"]:
    """Draw rows in one image: the first test images with noise, restored, and, if they are known, clean."""
    first = np.arange(min(COLUMNS, test.images.count))
    shown = samples.restore_samples(model, jax.device_get(params), test.images, first, test.noise)
    rows = np.stack([shown.noisy, shown.restored, *([] if test.objective else [shown.clean])])
    count, columns, height, width, channels = rows.shape
    image = rows.transpose(0, 2, 1, 3, 4).reshape(count * height, columns * width, channels)
    return np.rint(255 * image).astype(np.uint8).repeat(SCALE, axis=0).repeat(SCALE, axis=1)
