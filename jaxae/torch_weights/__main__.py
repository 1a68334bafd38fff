"""Weights from PyTorch into a run's directory, and back.

    python -m jaxae.torch_weights import model.pt RUN_DIR --network mnist
    python -m jaxae.torch_weights export RUN_DIR model.pt

Files are PyTorch's, Lightning's (only tensors are read, no code is run), safetensors or .npz.
"""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import tyro

from jaxae import command, metrics, networks, ops
from jaxae.config import Config, DataConfig, DataPlace, Launch, NoiseConfig, TrainConfig
from jaxae.errors import UserError
from jaxae.experiments import running
from jaxae.experiments.catalog import experiment_for
from jaxae.experiments.resolving import resolve
from jaxae.files import replacing, write_bytes, write_json
from jaxae.runs import directory, figures, summary, trained
from jaxae.runs.checkpoints import Checkpoints
from jaxae.runs.scores import score
from jaxae.torch_weights import files, from_torch, to_torch
from jaxae.training import start_from


@dataclass(frozen=True)
class Import:
    """Make a run's directory from a state dict: it evaluates like any other, and training can continue from it."""

    file: Annotated[Path, tyro.conf.Positional]
    """The state dict: a file of torch.save's, of Lightning's, of safetensors or of numpy.savez, whatever its name."""
    run_dir: Annotated[Path, tyro.conf.Positional]
    """The directory to make."""
    network: str
    """The name of the network, such as mnist or cifar."""
    data: DataConfig = field(default_factory=DataConfig)
    place: Annotated[DataPlace, tyro.conf.arg(name="data")] = field(default_factory=DataPlace)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    recipe: str = Config.recipe
    """The optimizer, should training continue."""
    seed: int = 0
    """Seed of shuffling and noise, should training continue."""


@dataclass(frozen=True)
class Export:
    """Write a run's parameters as a PyTorch state dict."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The run's directory."""
    file: Annotated[Path, tyro.conf.Positional]
    """The file to write, .pt, .pth, .bin, .safetensors or .npz; an existing one is replaced."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which of the run's checkpoints: the last epoch's, or the one with the highest validation score."""


ImportCommand = Annotated[Import, tyro.conf.subcommand("import", prefix_name=False)]
ExportCommand = Annotated[Export, tyro.conf.subcommand("export", prefix_name=False)]


@dataclass(frozen=True)
class Arguments:
    """Weights from PyTorch into a run's directory, and back."""

    command: Annotated[ImportCommand | ExportCommand, tyro.conf.arg(name="")]


def import_weights(arguments: Import) -> dict[str, Any]:
    """Make the run's directory, all of it or nothing, with the weights as its epoch 0; returns its summary.

    Optimizer state and step count are those of a fresh run.
    """
    run_dir = arguments.run_dir
    if os.path.lexists(run_dir):  # be it empty, or a link that leads nowhere
        raise UserError(f"{run_dir} exists already: name a new directory")
    if arguments.train.lsuv:
        raise UserError("`lsuv`: imported weights stay as they are: omit it")
    network = networks.build(arguments.network, ops.REFERENCE)
    params = jax.tree.map(jnp.asarray, from_torch(files.read_weights(arguments.file, network), network))
    train = replace(arguments.train, lsuv=False, reflect_padding=arguments.train.reflect_padding or 0)
    config = Config(arguments.data, arguments.noise, train, arguments.recipe, arguments.network, arguments.seed)
    experiment = experiment_for(arguments.network)
    resolved = resolve(experiment, config, Launch(arguments.place, run_dir=run_dir))
    model, test = resolved.task.model, resolved.test
    done = running.summarize_run(resolved, params, score(model, params, test), experiment.name) | {"epochs": 0}
    with replacing(run_dir) as folder:
        directory.claim(folder, resolved.config, resolved.launch, resolved.data)
        with Checkpoints(folder) as checkpoints:
            validated = {} if resolved.validation is None else score(model, params, resolved.validation).means()
            checkpoints.save(0, start_from(resolved.task, params), metrics.rank_score(validated))
        figures.write_figures(folder, model, params, test, history=[])
        write_json(folder / directory.SUMMARY, done)
    return done


def export_weights(arguments: Export) -> str:
    """Write the file; returns a description of it."""
    run = trained.load_run(arguments.run_dir, arguments.checkpoint)
    state_dict = to_torch(jax.device_get(run.params), run.network)
    write_bytes(arguments.file, files.state_dict_bytes(state_dict, arguments.file.suffix))
    done = f"the {run.config.network} network after epoch {run.epoch}"
    if pixels := run.network.reflect_padding:
        pad, crop = f'torch.nn.functional.pad(images, [{pixels}] * 4, "reflect")', f"{pixels}:-{pixels}"
        done += f"\nit pads its images by reflection: in PyTorch, network({pad})[..., {crop}, {crop}]"
    return done


def main() -> None:
    """Import or export as the command line says."""
    asked = command.parse_arguments(Arguments, description=__doc__).command
    if isinstance(asked, Export):
        print(f"written: {asked.file}, {export_weights(asked)}")
        return
    done = import_weights(asked)
    test = done["test"]
    print(f"{done['data']['name']}, noise {done['noise']}: test {summary.format_test(test)}")
    best = metrics.primary(test)
    if f"noisy_{best.name}" in test and not best.is_better(test[best.name], test[f"noisy_{best.name}"]):
        print("the network makes these images worse: is it trained, for this noise, on images in [0, 1]?")
    print(f"written: {asked.run_dir}/ (epoch 0 of a run)")


if __name__ == "__main__":
    command.run_main(main)
