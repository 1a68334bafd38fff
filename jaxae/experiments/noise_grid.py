"""Train a network for every kind of noise on MNIST and CIFAR-10, and write their metrics as one table.

    python -m jaxae.experiments.noise_grid --out experiments/noise_grid

Each run gets a directory below `--run-dir`. The same command continues a grid that was stopped: finished runs are kept,
and an unfinished one continues from its last epoch. The table and a picture of each run go to `--out`.
"""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxae import command, files, metrics
from jaxae.config import Config, DataPlace, Launch, NoiseConfig, TrainConfig, command_words
from jaxae.errors import UserError
from jaxae.experiments import cifar10_denoise, mnist_denoise, running
from jaxae.experiments.resolving import Experiment
from jaxae.runs import directory, group_record

EXPERIMENTS = (mnist_denoise.EXPERIMENT, cifar10_denoise.EXPERIMENT)
GRID: list[tuple[str, tuple[str, str]]] = [  # kinds of noise, with the strength for each experiment
    ("gaussian", ("0.5", "0.1")),
    ("gaussian", ("0.1..0.9", "0.02..0.2")),
    ("uniform", ("1.0", "0.2")),
    ("speckle", ("1.0", "0.2")),
    ("poisson", ("2", "30")),
    ("salt", ("0.3", "0.05")),
    ("pepper", ("0.5", "0.05")),
    ("salt_and_pepper", ("0.4", "0.1")),
    ("masking", ("0.5", "0.1")),
    ("block_masking", ("0.25", "0.05")),
    ("salt_and_pepper,gaussian", ("0.2,0.3", "0.05,0.05")),
]
HEADING = """# All kinds of noise

    {command}

Each line is a network, seed 0. The metrics are means over the test images: "in" is the noisy input, clipped to
[0, 1], and "out" is the output. {label} counts as {cap} at most, the value of an exact image. Block masking often falls
on black, so its input scores higher than it looks.

"""
RECORD = "grid.json"


@dataclass(frozen=True)
class GridConfig:
    """How each network is trained."""

    train: TrainConfig = field(default_factory=TrainConfig)
    recipe: str = "fast"
    """The optimizer and its schedule, as for a single run."""


@dataclass(frozen=True)
class Arguments:
    """Train a network for every kind of noise, and write their metrics as one table."""

    config: Annotated[GridConfig, tyro.conf.arg(name="")] = field(default_factory=GridConfig)
    data: DataPlace = field(default_factory=DataPlace)
    run_dir: Path = Path("runs/noise_grid")
    """The directory of the runs."""
    out: Path = Path("experiments/noise_grid")
    """The directory for the table and the pictures."""


def run_one(experiment: Experiment, kind: str, factor: str, arguments: Arguments) -> tuple[Path, dict[str, Any]]:
    """Train for one kind of noise unless that is done; returns the run's directory and its summary."""
    run_dir = arguments.run_dir / experiment.name / f"{kind}-{factor}".replace(",", "+")
    if not (run_dir / directory.SUMMARY).exists():
        config = Config(noise=NoiseConfig(kind, factor), train=arguments.config.train, recipe=arguments.config.recipe)
        running.run_config(experiment, config, Launch(arguments.data, run_dir=run_dir, resume=True))
    done = directory.read_summary(run_dir)
    try:
        table_row(done, "")
    except (KeyError, TypeError, ValueError) as error:
        path = run_dir / directory.SUMMARY
        raise UserError(f"{path} is damaged: delete it, and it is made again from the run's checkpoint") from error
    return run_dir, done


def table_row(summary: dict[str, Any], picture: str) -> str:
    """Return a row of the table: the metrics of the noisy input and of the output, and a link to the picture."""
    test = summary["test"]
    metric_keys = [(each, prefix + each.name) for each in metrics.known(test) for prefix in ("noisy_", "")]
    cells = [each.format(test[key], unit=False) for each, key in metric_keys]
    cells = [summary["data"]["name"], summary["noise"], *cells, str(summary["epochs"]), f"[picture]({picture})"]
    return f"| {' | '.join(cells)} |"


def render_table(config: GridConfig, rows: list[tuple[dict[str, Any], str]]) -> str:
    """Return the README of a grid: how it was trained, and its table.

    Args:
        config: how its networks were trained.
        rows: the summary of each run, and the name of its picture.
    """
    test = rows[0][0]["test"]
    columns, primary = metrics.known(test), metrics.primary(test)
    words = [*command.module_words("jaxae.experiments.noise_grid"), *command_words(config, GridConfig())]
    sides = [f"{each.heading} {side}" for each in columns for side in ("in", "out")]
    lines = [f"| {' | '.join(['data', 'noise', *sides, 'epochs', ''])} |", f"|---|---|{'---:|' * len(sides)}---:|---|"]
    lines += [table_row(summary, picture) for summary, picture in rows]
    cap = primary.format(primary.cap or float("inf"))
    return HEADING.format(command=shlex.join(words), label=primary.label, cap=cap) + "\n".join(lines) + "\n"


def main() -> None:
    """Run the grid as the command line says."""
    arguments = command.parse_arguments(Arguments)
    group_record.check_group(arguments.run_dir / RECORD, arguments.config)
    arguments.run_dir.mkdir(parents=True, exist_ok=True)
    group_record.write_group(arguments.run_dir / RECORD, arguments.config)
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, experiment in enumerate(EXPERIMENTS):
        for kind, factors in GRID:
            run_dir, summary = run_one(experiment, kind, factors[number], arguments)
            picture = f"{experiment.name}-{run_dir.name}.png".replace("+", "_")
            files.write_bytes(arguments.out / picture, (run_dir / "figures" / "images.png").read_bytes())
            rows.append((summary, picture))
    files.write_text(arguments.out / "README.md", render_table(arguments.config, rows))
    print(f"written: {arguments.out}/README.md and {len(rows)} pictures")


if __name__ == "__main__":
    command.run_main(main)
