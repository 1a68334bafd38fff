"""Networks trained without clean images, beside one trained with them: test PSNR on real MNIST and CIFAR-10.

    python experiments/noisy_alone/study.py --work runs/noisy_alone --out experiments/noisy_alone

The fast recipe, eight epochs on MNIST at Gaussian noise 0.5, five on CIFAR-10 at 0.1; the same seeds for each.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from jaxae import command
from jaxae.command import machine
from jaxae.config import Config, DataConfig, DataPlace, Launch, TrainConfig
from jaxae.experiments import cifar10_denoise, mnist_denoise, running

OBJECTIVES = "self", "sure", "noisy", "clean"
TASKS = {"mnist": (mnist_denoise.EXPERIMENT, 8), "cifar10": (cifar10_denoise.EXPERIMENT, 5)}


@dataclass(frozen=True)
class Arguments:
    """Train with each objective."""

    work: Path
    """Where the runs are written."""
    out: Path
    """Where the table goes."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of each objective."""
    data_dir: Path | None = None
    """Where prepared data sets are; by default as for a run."""


def main() -> None:
    """Make the study."""
    arguments = tyro.cli(Arguments)
    command.enable_compilation_cache()
    results, lines = [], ["| data | target | PSNR [dB], by seed | mean |", "|---|---|---|---:|"]
    for name, (experiment, epochs) in TASKS.items():
        for objective in OBJECTIVES:
            reached = []
            for seed in arguments.seeds:
                run_dir = arguments.work / f"{name}-{objective}-{seed}"
                launch = Launch(DataPlace(arguments.data_dir), run_dir=run_dir)
                config = Config(DataConfig(name), train=TrainConfig(epochs, target=objective), recipe="fast", seed=seed)
                summary = running.run_config(experiment, config, launch)
                reached.append(summary["test"]["psnr"])
                results.append({"data": name, "target": objective, "seed": seed, "psnr": reached[-1]})
            each = ", ".join(f"{value:.2f}" for value in reached)
            lines.append(f"| {name} | {objective} | {each} | {np.mean(reached):.2f} |")
    arguments.out.mkdir(parents=True, exist_ok=True)
    record = {"versions": machine.versions(), "device": machine.device(), "runs": results}
    (arguments.out / "psnr.json").write_text(json.dumps(record, indent=2) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
