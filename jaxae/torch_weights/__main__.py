"""Weights from PyTorch into a run's directory, and back.

    python -m jaxae.torch_weights import model.pt RUN_DIR --model mnist
    python -m jaxae.torch_weights export RUN_DIR model.pt

Files are PyTorch's (.pt, .pth, .bin, Lightning's .ckpt; only tensors are read, no code is run), .safetensors or .npz.
"""

import contextlib
import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import tyro

from jaxae import command
from jaxae.config import Config, DataConfig, DataPlace, Launch, NoiseConfig, TrainConfig
from jaxae.errors import UserError
from jaxae.experiments import cifar10_denoise, mnist_denoise, runner
from jaxae.experiments.plan import make_plan
from jaxae.files import replacing, sync, sync_tree, write_bytes, write_json
from jaxae.run import directory, figures, summary, trained
from jaxae.run.checkpoints import Checkpoints
from jaxae.run.scores import score
from jaxae.torch_weights import files, from_torch, to_torch
from jaxae.training import start

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
    place: Annotated[DataPlace, tyro.conf.arg(name="data")] = field(default_factory=DataPlace)
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
    if run_dir.is_symlink() and not run_dir.exists():
        raise UserError(f"{run_dir} is a link that leads nowhere: name a new directory")
    if run_dir.exists() and not (run_dir.is_dir() and not any(run_dir.iterdir())):
        raise UserError(f"{run_dir} is there already: name a new directory")
    params = jax.tree.map(jnp.asarray, from_torch(files.read_original(arguments.file, arguments.model)))

    experiment = EXPERIMENTS[arguments.model]
    if arguments.train.scaled_start:
        raise UserError("--train.scaled-start: imported weights stay as they are: leave it out")
    train = dataclasses.replace(arguments.train, scaled_start=False, margin=arguments.train.margin or 0)
    config = Config(arguments.data, arguments.noise, train, arguments.recipe, arguments.model, arguments.seed)
    command.enable_compilation_cache()
    plan = make_plan(experiment, config, Launch(arguments.place, run_dir=run_dir))
    scores = score(plan.task.model, params, plan.test)
    words = ["python", "-m", "jaxae.torch_weights", *sys.argv[1:]]
    done = runner.describe(plan, params, scores, experiment.name, words) | {"epochs": 0}
    with made_whole(run_dir) as folder:
        directory.claim(plan.config, dataclasses.replace(plan.launch, run_dir=folder), plan.trained_on)
        with Checkpoints(folder) as checkpoints:
            checkpoints.save(0, start(plan.task, params), done["test"]["psnr"])
        figures.write(folder, plan.task.model, params, plan.test, history=[])
        write_json(folder / directory.SUMMARY, done)
    return done


@contextlib.contextmanager
def made_whole(run_dir: Path) -> Iterator[Path]:
    """A folder to make a run in, which becomes `run_dir`, or where that is there, and empty, is moved into it.

    An empty directory may be the one that the user stands in, or behind a link, and so stays what it is.
    """
    if not run_dir.exists():
        with replacing(run_dir) as folder:
            yield folder
        return
    with tempfile.TemporaryDirectory(dir=run_dir, prefix=".") as temporary:
        folder = Path(temporary) / "run"
        yield folder
        for path in sorted(folder.iterdir(), key=lambda path: path.name == directory.CONFIG):  # that makes it a run
            sync_tree(path)
            path.rename(run_dir / path.name)
        sync(run_dir)


def export_weights(arguments: Export) -> str:
    """Write the file; returns what is in it, in words."""
    files.check_suffix(arguments.file)
    files.check_package(arguments.file)
    run = trained.restore(arguments.run_dir, arguments.checkpoint)
    content = files.to_bytes(to_torch(jax.device_get(run.params)), arguments.file.suffix)
    write_bytes(arguments.file, content)
    done = f"the {run.config.model} network after epoch {run.epoch}"
    if margin := run.model.margin:
        pad, crop = f'torch.nn.functional.pad(images, [{margin}] * 4, "reflect")', f"{margin}:-{margin}"
        done += f"\nits images were mirrored by {margin} pixels: in PyTorch, network({pad})[..., {crop}, {crop}]"
    return done


def main() -> None:
    """Import or export as the command line says."""
    asked = command.parse(Arguments, description=__doc__).command
    if isinstance(asked, Export):
        print(f"written: {asked.file}, {export_weights(asked)}")
        return
    done = import_weights(asked)
    test = done["test"]
    print(f"{done['data']['name']}, noise {done['noise']}: test {summary.line(test)}")
    if test["psnr"] <= test.get("noisy_psnr", test["psnr"] - 1):
        print("the network makes these images worse: is it trained, for this noise, on images in [0, 1]?")
    print(f"written: {asked.run_dir}/ (epoch 0 of a run)")


if __name__ == "__main__":
    command.run_main(main)
