"""A run that trains on a folder of small images, in a process of its own: an epoch takes a tenth of a second."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tests.process import environment

PROGRAM = "jaxae.experiments.mnist_denoise"
IMAGES = 150


def make_images(folder: Path) -> None:
    """Small pictures of squares; one in ten becomes a test image."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        image = np.zeros((28, 28), np.uint8)
        top, left, side = rng.integers(0, 14, 3)
        image[top : top + side + 6, left : left + side + 6] = rng.integers(100, 256)
        Image.fromarray(image).save(folder / f"{number:03}.png")


def launch(*arguments: object) -> subprocess.Popen:
    """``python -m ARGUMENTS…`` in a process of its own, on one CPU device."""
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def words(folder: Path, run_dir: Path, epochs: int, *options: object) -> tuple[object, ...]:
    """The command of a run on the images of `folder`, which is saved after each epoch."""
    data = ("--data.name", f"folder:{folder}", "--train.batch-size", 32, "--checkpoint-seconds", 0)
    return (PROGRAM, *data, "--train.epochs", epochs, "--run-dir", run_dir, *options)


def start(folder: Path, run_dir: Path, epochs: int, *options: object) -> subprocess.Popen:
    """A run on the images of `folder`, in a process of its own."""
    return launch(*words(folder, run_dir, epochs, *options))


def saving(run_dir: Path) -> list[str]:
    """The checkpoints that are being written."""
    folder = run_dir / "checkpoints"
    return [name for name in os.listdir(folder) if "tmp" in name] if folder.is_dir() else []


def saved(run_dir: Path) -> int:
    """The epoch of the latest checkpoint."""
    folder = run_dir / "checkpoints"
    return max((int(name) for name in os.listdir(folder) if name.isdigit()), default=0) if folder.is_dir() else 0
