"""Weights from PyTorch into a run's directory, and back.

    python -m jaxae.torch_weights import model.pt RUN_DIR --model mnist
    python -m jaxae.torch_weights export RUN_DIR model.pt

Files are PyTorch's (.pt, .pth; only tensors are read, no code is run) or .safetensors.
"""

import dataclasses
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import tyro

from jaxae import cli, figures, noise, runs
from jaxae.checkpoints import Checkpoints
from jaxae.config import Config, DataConfig, NoiseConfig, TrainConfig
from jaxae.digest import digest
from jaxae.errors import UserError
from jaxae.experiments import cifar10_denoise, mnist_denoise
from jaxae.plan import make_plan
from jaxae.restore import restore_run
from jaxae.scores import means_with_noisy, score
from jaxae.torch_weights import files, from_torch, matching, to_torch
from jaxae.train import TrainState

EXPERIMENTS = {"mnist": mnist_denoise.EXPERIMENT, "cifar": cifar10_denoise.EXPERIMENT}


@dataclass(frozen=True)
class Import:
    """Make a run's directory from a state dict: it evaluates like any other, and training goes on from it."""

    file: Annotated[Path, tyro.conf.Positional]
    """The state dict: .pt, .pth or .bin as torch.save writes it, .ckpt as Lightning does, .safetensors or .npz."""
    run_dir: Annotated[Path, tyro.conf.Positional]
    """The directory to make."""
    model: Literal["mnist", "cifar"]
    """The network."""
    data: DataConfig = field(default_factory=DataConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    recipe: Literal["plain", "fast"] = "plain"
    """The optimizer, should training go on."""
    seed: int = 0
    """Of shuffling and noise, should training go on."""


@dataclass(frozen=True)
class Export:
    """Write a run's parameters as a state dict of the original PyTorch network."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    file: Annotated[Path, tyro.conf.Positional]
    """The file to write, replaced where there is one: .pt, .pth, .bin, .safetensors or .npz."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which of the run's checkpoints: the last epoch's, or that with the highest test PSNR."""


Command = (
    Annotated[Import, tyro.conf.subcommand("import", prefix_name=False)]
    | Annotated[Export, tyro.conf.subcommand("export", prefix_name=False)]
)


@dataclass(frozen=True)
class Arguments:
    """Weights from PyTorch into a run's directory, and back."""

    command: Annotated[Command, tyro.conf.arg(name="")]


def import_weights(arguments: Import) -> dict[str, Any]:
    """Make the run's directory, all of it or nothing, with the weights as its epoch 0; returns its summary.

    Optimizer state and step count are those of a fresh run.
    """
    run_dir = arguments.run_dir
    if run_dir.exists() and not (run_dir.is_dir() and not any(run_dir.iterdir())):
        raise UserError(f"{run_dir} is there already: name a new directory")
    state_dict, ordered = files.read(arguments.file)
    params = jax.tree.map(jnp.asarray, from_torch(matching.originals_names(state_dict, arguments.model, ordered)))

    experiment = EXPERIMENTS[arguments.model]
    config = Config(
        data=arguments.data,
        noise=arguments.noise,
        train=arguments.train,
        recipe=arguments.recipe,
        model=arguments.model,
        seed=arguments.seed,
        run_dir=run_dir,
    )
    cli.enable_compilation_cache()
    plan = make_plan(experiment, config)
    with jax.numpy_dtype_promotion("standard"):  # as in training
        state = TrainState(jnp.int32(0), params, plan.task.optimizer.init(params))
    scores = score(plan.task.model.apply, {"params": params}, plan.test_images, plan.task.noise)
    summary = {
        "experiment": experiment.name,
        "model": arguments.model,
        "test": means_with_noisy(scores, plan.test_images, plan.task.noise),
        "data": {
            "name": plan.config.data.name,
            "reason": plan.data_reason,
            "train_size": len(plan.train_images),
            "test_size": len(plan.test_images),
        },
        "noise": noise.describe(plan.task.noise),
        "epochs": 0,
        "device": runs.device(),
        "versions": runs.versions(),
        "params_digest": digest(params),
        "command": shlex.join(["python", "-m", "jaxae.torch_weights", *sys.argv[1:]]),
    }
    with _whole(run_dir) as folder:
        runs.claim(dataclasses.replace(plan.config, run_dir=folder))
        with Checkpoints(folder) as checkpoints:
            checkpoints.save(0, state, summary["test"]["psnr"])
        figures.write(folder, plan.task.model.apply, {"params": params}, plan.test_images, plan.task.noise, lines=[])
        runs.write_json(folder / runs.SUMMARY, summary)
    return summary


@contextmanager
def _whole(directory: Path) -> Iterator[Path]:
    """A directory to write to, which becomes `directory` at the end; nothing is left of it if that is not reached."""
    temporary = directory.with_name(f".{os.getpid()}-{directory.name}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        os.replace(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def export_weights(arguments: Export) -> str:
    """Write the file; returns what is in it, in words."""
    files.check_suffix(arguments.file)
    files.check_package(arguments.file)
    run = restore_run(arguments.run_dir, arguments.checkpoint)
    content = files.to_bytes(to_torch(jax.device_get(run.params)), arguments.file.suffix)
    with runs.replacing(arguments.file) as temporary:
        temporary.write_bytes(content)
    return f"the {run.config.model} network after epoch {run.epoch}"


def main() -> None:
    """Import or export as the command line says."""
    command = cli.parse(Arguments, description=__doc__).command
    if isinstance(command, Export):
        print(f"written: {command.file}, {export_weights(command)}")
        return
    summary = import_weights(command)
    test = summary["test"]
    before = f" (noisy input {test['noisy_psnr']:.2f})" if "noisy_psnr" in test else ""
    print(
        f"{summary['data']['name']}, noise {summary['noise']}: test mse {test['mse']:.5f}, psnr {test['psnr']:.2f} dB"
        f"{before}, ssim {test['ssim']:.4f}\n"
        f"written: {command.run_dir}/ (epoch 0 of a run)"
    )


if __name__ == "__main__":
    cli.run_main(main)
