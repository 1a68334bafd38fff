"""Test metrics of a trained run.

python -m jaxae.evaluate RUN_DIR [--data.name NAME] [--noise.factor F] [--json]
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from jaxae import command, metrics
from jaxae.config import DataOverride, NoiseOverride
from jaxae.run import summary, trained
from jaxae.run.scores import score


@dataclass(frozen=True)
class Arguments:
    """Evaluate a trained run on test images."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    data: DataOverride = field(default_factory=DataOverride)
    noise: NoiseOverride = field(default_factory=NoiseOverride)
    checkpoint: Literal["latest", "best"] = "latest"
    """Which of the run's checkpoints: the last epoch's, or that with the highest test PSNR (or the lowest loss)."""
    json: bool = False
    """Print a JSON object instead of a line."""


def evaluate(arguments: Arguments) -> dict[str, Any]:
    """The test metrics, and what they were measured on."""
    run = trained.restore(arguments.run_dir, arguments.checkpoint)
    test = trained.open_test(run, arguments.data, arguments.noise)
    command.enable_compilation_cache()
    scores = score(run.model, run.params, test)
    return summary.of_test(run.params, test, scores) | {"run_dir": str(run.run_dir), "epoch": run.epoch}


def main() -> None:
    """Evaluate as the command line says."""
    arguments = command.parse(Arguments)
    result = evaluate(arguments)
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    test = result["test"]
    print(
        f"{result['data']['name']}, {result['data']['test_size']:,} test images, noise {result['noise']}, "
        f"epoch {result['epoch']}:\n"
        f"  {metrics.in_words(test)}"
    )
    if "noisy_psnr" in test:
        print(
            f"  noisy input: mse {test['noisy_mse']:.5f}   psnr {test['noisy_psnr']:.2f} dB   "
            f"ssim {test['noisy_ssim']:.4f}"
        )


if __name__ == "__main__":
    command.run_main(main)
