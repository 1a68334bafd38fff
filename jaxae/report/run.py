"""What a page tells of a run, from one that has just ended or from its directory."""

import shlex
from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import PyTree

from jaxae.config import Config, DataOverride, command_words
from jaxae.models import Autoencoder
from jaxae.run import directory, summary, trained
from jaxae.run.scores import Losses, Scores, score
from jaxae.run.test_set import TestSet


class Run(NamedTuple):
    """A trained network with what is known of its training and its test."""

    name: str
    config: Config
    summary: dict[str, Any]
    history: list[dict[str, Any]]
    model: Autoencoder
    params: PyTree
    test: TestSet
    scores: Scores | Losses  # of each of the test images


def load(run_dir: Path, wanted: DataOverride = trained.OWN_DATA) -> Run:
    """The run in `run_dir`, its latest checkpoint tested again. Raises UserError where there is no such run.

    wanted: where its own images lie now.
    """
    run = trained.restore(run_dir)
    test = trained.open_test(run, wanted)
    scores = score(run.model, run.params, test)
    known = summary.of_test(run.params, test, scores) | {"epochs": run.epoch} | directory.read_summary(run_dir)
    history = directory.read_history(run_dir)
    return Run(str(run_dir), run.config, known, history, run.model, run.params, test, scores)


def reproduce(config: Config) -> str:
    """A command that trains as `config`, which is settled, says, whatever command or program it came from."""
    experiment = "cifar10_denoise" if config.model == "cifar" else "mnist_denoise"  # the options settle everything
    return shlex.join(["python", "-m", f"jaxae.experiments.{experiment}", *command_words(config, Config())])
