"""Train a network for every kind of noise on MNIST and CIFAR-10 and put the figures side by side.

    python -m jaxae.experiments.noise_grid --out experiments/noise_grid

Each run lies below `--run-dir`. The same command goes on where it was stopped: a run that is finished is not trained
again, and one that is not goes on from its last epoch. The table and a picture of each run go to `--out`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jaxae import command, files
from jaxae.config import Config, DataPlace, Launch, NoiseConfig, TrainConfig
from jaxae.errors import UserError
from jaxae.experiments import cifar10_denoise, mnist_denoise, runner
from jaxae.run import directory

GRID: dict[str, list[tuple[str, str]]] = {
    "mnist_denoise": [
        ("gaussian", "0.5"),
        ("gaussian", "0.1..0.9"),
        ("uniform", "1.0"),
        ("speckle", "1.0"),
        ("poisson", "2"),
        ("salt", "0.3"),
        ("pepper", "0.5"),
        ("salt_and_pepper", "0.4"),
        ("masking", "0.5"),
        ("block_masking", "0.25"),
        ("salt_and_pepper,gaussian", "0.2,0.3"),
    ],
    "cifar10_denoise": [
        ("gaussian", "0.1"),
        ("gaussian", "0.02..0.2"),
        ("uniform", "0.2"),
        ("speckle", "0.2"),
        ("poisson", "30"),
        ("salt", "0.05"),
        ("pepper", "0.05"),
        ("salt_and_pepper", "0.1"),
        ("masking", "0.1"),
        ("block_masking", "0.05"),
        ("salt_and_pepper,gaussian", "0.05,0.05"),
    ],
}
HEADING = """# What comes back from every kind of noise

    python -m jaxae.experiments.noise_grid --epochs 2

A network for each line, trained with the {recipe} recipe, seed 0; PSNR and SSIM are means over the 10,000 test images,
in of the noisy input clipped to [0, 1], out of what the network makes of it. An image that is exact counts as 100 dB,
so block masking, which often falls on black, looks better before than it is.

"""
EXPERIMENTS = {module.EXPERIMENT.name: module.EXPERIMENT for module in (mnist_denoise, cifar10_denoise)}


@dataclass(frozen=True)
class Arguments:
    """Train a network for every kind of noise and put the figures side by side."""

    out: Path = Path("experiments/noise_grid")
    """Where the table and the pictures go."""
    run_dir: Path = Path("runs/noise_grid")
    """Where the runs lie."""
    data_dir: Path | None = None
    """Where prepared data sets lie; by default $TFDS_DATA_DIR, else a place of jaxae's own, and TFDS's."""
    recipe: Literal["plain", "fast"] = "fast"
    """How each network is trained."""
    epochs: int | None = None
    """Passes over the training images; by default the recipe's own."""


def run_one(name: str, kind: str, factor: str, arguments: Arguments) -> tuple[Path, dict]:
    """Train for one kind of noise, unless that is done: the run's directory and its summary."""
    run_dir = arguments.run_dir / name / f"{kind}-{factor}".replace(",", "+")
    if not (run_dir / directory.SUMMARY).exists():
        asked = Config(
            noise=NoiseConfig(kind, factor), train=TrainConfig(epochs=arguments.epochs), recipe=arguments.recipe
        )
        begun = directory.load_config(run_dir) if directory.is_run(run_dir) else asked
        check_begun(run_dir, begun, arguments)
        runner.run(EXPERIMENTS[name], begun, Launch(DataPlace(arguments.data_dir), run_dir=run_dir, resume=True))
    elif directory.is_run(run_dir):
        check_begun(run_dir, directory.load_config(run_dir), arguments)
    path = run_dir / directory.SUMMARY
    try:
        summary = json.loads(path.read_bytes())
        row(summary, "")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: delete it, and it is made again from the run's checkpoint") from error
    return run_dir, summary


def check_begun(run_dir: Path, begun: Config, arguments: Arguments) -> None:
    """Refuse a run of the grid that was begun with another recipe, or for other epochs."""
    asked = {"--recipe": (begun.recipe, arguments.recipe), "--epochs": (begun.train.epochs, arguments.epochs)}
    for option, (before, now) in asked.items():
        if now is not None and before is not None and before != now:
            raise UserError(f"{run_dir} was trained with {option} {before}, not {now}: name another --run-dir")


def row(summary: dict, picture: str) -> str:
    """A line of the table."""
    test = summary["test"]
    return (
        f"| {summary['data']['name']} | {summary['noise']} | {test['noisy_psnr']:.2f} | {test['psnr']:.2f} "
        f"| {test['noisy_ssim']:.3f} | {test['ssim']:.3f} | {summary['epochs']} | [picture]({picture}) |"
    )


def main() -> None:
    """Run the grid as the command line says."""
    arguments = command.parse(Arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    lines = [
        "| data | noise | PSNR in [dB] | PSNR out | SSIM in | SSIM out | epochs | |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for name, grid in GRID.items():
        for kind, factor in grid:
            run_dir, summary = run_one(name, kind, factor, arguments)
            picture = f"{name}-{run_dir.name}.png".replace("+", "_")
            files.write_bytes(arguments.out / picture, (run_dir / "figures" / "images.png").read_bytes())
            lines.append(row(summary, picture))
    files.write_text(arguments.out / "README.md", HEADING.format(recipe=arguments.recipe) + "\n".join(lines) + "\n")
    print(f"written: {arguments.out}/README.md and {len(lines) - 2} pictures")


if __name__ == "__main__":
    command.run_main(main)
