"""Print the test metrics of a trained run.

python -m jaxae.evaluate RUN_DIR [--data.name NAME] [--noise.factor F] [--json]
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from jaxae import command, metrics
from jaxae.command import output
from jaxae.config import DataOverride, NoiseOverride
from jaxae.runs import summary, trained
from jaxae.runs.scores import score


@dataclass(frozen=True)
class Arguments:
    """Evaluate a trained run on test images."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    data: DataOverride = field(default_factory=DataOverride)
    noise: NoiseOverride = field(default_factory=NoiseOverride)
    checkpoint: Literal["latest", "best"] = "latest"
    """Which checkpoint of the run; best: the highest validation score."""
    json: bool = False
    """Print a JSON object instead of lines."""


def evaluate_run(arguments: Arguments) -> dict[str, Any]:
    """Return the test metrics and what they were measured on."""
    run = trained.load_run(arguments.run_dir, arguments.checkpoint)
    test = trained.open_test(run, arguments.data, arguments.noise)
    scores = score(run.network, run.params, test)
    return summary.summarize_test(run.params, test, scores) | {"run_dir": str(run.run_dir), "epoch": run.epoch}


def main() -> None:
    """Evaluate as the command line says."""
    arguments = command.parse_arguments(Arguments)
    result = evaluate_run(arguments)
    if arguments.json:
        output.print_json(result)
        return
    about, test = result["data"], result["test"]
    print(f"{about['name']}, {about['test_size']:,} test images, noise {result['noise']}, epoch {result['epoch']}:")
    print(f"  {summary.format_test(test)}")
    if metrics.known(test, "noisy_"):
        print(f"  noisy input: {metrics.format_means(test, 'noisy_')}")


if __name__ == "__main__":
    command.run_main(main)
