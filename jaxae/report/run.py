"""What a page tells of a run, from one that has just ended or from its directory."""

import json
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flax import linen as nn
from jaxtyping import Float, PyTree, UInt8

from jaxae import data, models, noise, runs
from jaxae.config import Config, options
from jaxae.errors import UserError
from jaxae.noise import Noise
from jaxae.restore import restore_run
from jaxae.scores import means_with_noisy, score


class Run(NamedTuple):
    """A trained network with what is known of its training and its test."""

    name: str
    config: Config
    summary: dict[str, Any]
    lines: list[dict[str, Any]]  # of metrics.jsonl
    model: nn.Module
    params: PyTree
    images: UInt8[np.ndarray, "n height width channels"]  # for testing
    noise: Noise
    psnr: Float[np.ndarray, " n"]  # of each of `images` restored


def load(run_dir: Path) -> Run:
    """The run in `run_dir`, its latest checkpoint tested again. Raises UserError where there is no such run."""
    trained = restore_run(run_dir)
    config = trained.config
    corruption = noise.parse(config.noise.kind, config.noise.factor, config.noise.clip)
    images = data.load(config.data.name, "test", config.data.dir, trained.model.image_shape)
    models.check_image_shape(config.model, images.shape[1:])
    scores = score(trained.model.apply, {"params": trained.params}, images, corruption)
    known = {
        "test": means_with_noisy(scores, images, corruption),
        "data": {"name": config.data.name, "test_size": len(images)},
        "noise": noise.describe(corruption),
        "epochs": trained.epoch,
    }
    summary = known | _read_summary(run_dir / runs.SUMMARY)
    lines = runs.read_metrics(run_dir)
    return Run(str(run_dir), config, summary, lines, trained.model, trained.params, images, corruption, scores.psnr)


def _read_summary(path: Path) -> dict[str, Any]:
    """The run's summary; empty where it has none, since it was stopped before its end or not trained here."""
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no summary of a run: {error}; remove it to do without") from error


def reproduce(config: Config) -> str:
    """A command that trains as `config`, which is settled, says, whatever command or program it came from."""
    experiment = "cifar10_denoise" if config.model == "cifar" else "mnist_denoise"  # the options settle everything
    words = ["python", "-m", f"jaxae.experiments.{experiment}"]
    start = options(Config())
    for option, value in options(config).items():
        if value != start[option]:
            words += [option] if value is True else [option, str(value)]
    return shlex.join(words)
