"""A trained run with its test, as the reports show it."""

import shlex
from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import PyTree

from jaxae import command, metrics
from jaxae.config import Config, DataOverride, command_words
from jaxae.metrics import Metric
from jaxae.networks import Network
from jaxae.runs import directory, health, summary, trained
from jaxae.runs.evaluation_set import EvaluationSet
from jaxae.runs.scores import Scores, score


class Run(NamedTuple):
    """A trained network, its training and its test.

    Attributes:
        name: The run's directory.
        summary: What `summary.json` holds.
        history: One record per epoch.
        scores: Metrics of each test image.
    """

    name: str
    config: Config
    summary: dict[str, Any]
    history: list[dict[str, Any]]
    model: Network
    params: PyTree
    test: EvaluationSet
    scores: Scores

    @property
    def metric(self) -> Metric:
        """The main metric of the test; it has no function where no clean images are known."""
        return metrics.primary(self.summary["test"])


def load_tested_run(run_dir: Path, wanted: DataOverride = trained.OWN_DATA) -> Run:
    """Load the latest checkpoint of the run in `run_dir` and test it.

    Args:
        run_dir: The run's directory.
        wanted: Where the test images are now; by default the run's own data.

    Raises:
        UserError: There is no such run, or its test images cannot be read.
    """
    run = trained.load_run(run_dir)
    test = trained.open_test(run, wanted)
    scores = score(run.network, run.params, test)
    tested = summary.summarize_test(run.params, test, scores)
    tested |= {"epochs": run.epoch, "health": health.measure_health(run.network, run.params, test, scores)}
    known = merge_summary(directory.read_summary(run_dir), tested)
    return Run(str(run_dir), run.config, known, directory.read_history(run_dir), run.network, run.params, test, scores)


def merge_summary(stored: dict[str, Any], tested: dict[str, Any]) -> dict[str, Any]:
    """Complete the summary of a fresh test with what only training knew, such as its command, device and throughput."""
    before, now = stored.get("data", {}), tested["data"]
    known = before | now if before.get("name") == now["name"] else now
    return stored | tested | {"device": stored.get("device", tested["device"]), "data": known}


def reproducing_command(config: Config) -> str:
    """Return a command that trains as a resolved `config` says: its options leave nothing to an experiment."""
    words = command_words(config, Config())
    return shlex.join([*command.module_words("jaxae.experiments.mnist_denoise"), *words])
