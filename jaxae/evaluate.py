"""Test figures of a trained run.

python -m jaxae.evaluate RUN_DIR [--data.name NAME] [--noise.factor F] [--json]
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from jaxae import cli, data, models, noise, runs
from jaxae.config import NoiseConfig
from jaxae.digest import digest
from jaxae.restore import restore_run
from jaxae.scores import means_with_noisy, score


@dataclass(frozen=True)
class DataArguments:
    """Which test images; as in training where not given."""

    name: str | None = None
    """Data set."""
    dir: Path | None = None
    """Where prepared data sets lie."""


@dataclass(frozen=True)
class NoiseArguments:
    """How the input is corrupted; as in training where not given."""

    kind: str | None = None
    """Name of a noise in `jaxae.noise`, or none."""
    factor: float | str | None = None
    """Strength of the noise; the kind's own where only a kind is given."""
    clip: bool | None = None
    """Clip noisy images to [0, 1]."""

    def resolve(self, own: NoiseConfig) -> noise.Noise:
        """The noise that is meant, of a run trained with `own`: a kind without a factor has its own strength."""
        factor = self.factor if self.kind is not None or self.factor is not None else own.factor
        return noise.parse(self.kind or own.kind, factor, own.clip if self.clip is None else self.clip)


@dataclass(frozen=True)
class Arguments:
    """Evaluate a trained run on test images."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    data: DataArguments = field(default_factory=DataArguments)
    noise: NoiseArguments = field(default_factory=NoiseArguments)
    checkpoint: Literal["latest", "best"] = "latest"
    """Which of the run's checkpoints: the last epoch's, or that with the highest test PSNR."""
    json: bool = False
    """Print a JSON object instead of a line."""


def evaluate(arguments: Arguments) -> dict[str, Any]:
    """The test figures, and what they were measured on."""
    run = restore_run(arguments.run_dir, arguments.checkpoint)
    corruption = arguments.noise.resolve(run.config.noise)

    data_dir = arguments.data.dir or run.config.data.dir
    name = arguments.data.name or run.config.data.name
    images = data.load(name, "test", data_dir, run.model.image_shape)
    models.check_image_shape(run.config.model, images.shape[1:])

    cli.enable_compilation_cache()
    scores = score(run.model.apply, {"params": run.params}, images, corruption)
    return {
        "test": means_with_noisy(scores, images, corruption),
        "data": {"name": name, "test_size": len(images)},
        "noise": noise.describe(corruption),
        "run_dir": str(arguments.run_dir),
        "epoch": run.epoch,
        "device": runs.device(),
        "params_digest": digest(run.params),
    }


def main() -> None:
    """Evaluate as the command line says."""
    arguments = cli.parse(Arguments)
    result = evaluate(arguments)
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    test = result["test"]
    print(
        f"{result['data']['name']}, {result['data']['test_size']:,} test images, noise {result['noise']}, "
        f"epoch {result['epoch']}:\n"
        f"  mse {test['mse']:.5f}   psnr {test['psnr']:.2f} dB   ssim {test['ssim']:.4f}"
    )
    if "noisy_psnr" in test:
        print(
            f"  noisy input: mse {test['noisy_mse']:.5f}   psnr {test['noisy_psnr']:.2f} dB   "
            f"ssim {test['noisy_ssim']:.4f}"
        )


if __name__ == "__main__":
    cli.run_main(main)
