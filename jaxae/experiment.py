"""One training run from start to end: data, training, checkpoints, figures, summary.

Everything that can be refused is refused before anything is compiled.
"""

import dataclasses
import math
import shlex
import sys
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxae import cli, data, figures, models, noise, ops, recipes, runs
from jaxae.checkpoints import Checkpoints
from jaxae.config import Config
from jaxae.digest import digest
from jaxae.errors import UserError
from jaxae.noise import Noise
from jaxae.progress import Progress
from jaxae.scores import clipped, score
from jaxae.train import Task, TrainState, epochs_done, fit, init, make_member, steps_per_epoch


class Experiment(NamedTuple):
    """What sets an experiment apart: a name, its data, and the configuration that its command line starts from."""

    name: str
    data: str  # what --data.name auto stands for
    fallback: str  # the embedded data set that takes its place
    config: Config = Config()
    gaussian_factor: float = 0.5


def main(experiment: Experiment, description: str) -> None:
    """Run `experiment` as the command line says."""
    run(experiment, cli.parse(Config, description=description, default=experiment.config))


def run(experiment: Experiment, config: Config) -> dict[str, Any]:
    """Train as `config` says, write the run's directory, and return its summary."""
    config.check()
    if config.run_dir is None:
        config = dataclasses.replace(config, run_dir=runs.default_directory(experiment.name))
    config, corruption = resolve_noise(config, experiment.gaussian_factor)
    ops.pick(config.train.ops)
    runs.check_directory(config)
    config = as_started(config)
    cli.enable_compilation_cache()

    config, resolved = resolve_data(config, experiment)
    train_images = data.load(resolved.name, "train", config.data.dir)[: config.data.limit]
    test_images = data.load(resolved.name, "test", config.data.dir)
    config = resolve_recipe(resolve_model(config, train_images.shape[1:]))
    task = make_task(config, corruption, len(train_images))
    runs.claim(config)

    with Checkpoints(config.run_dir) as checkpoints, Progress(config.train.epochs) as progress:
        if resolved.reason:
            progress.say(f"data: {resolved.name}, not {experiment.data}: {resolved.reason}")
        else:
            progress.say(f"data: {resolved.name}, {len(train_images):,} training and {len(test_images):,} test images")
        progress.say(f"run: {config.run_dir} on {runs.device()['kind']}, noise: {noise.describe(corruption)}")
        state = _train(config, task, train_images, test_images, checkpoints, progress)

    restore, variables = task.model.apply, {"params": state.params}
    lines = runs.read_metrics(config.run_dir)
    test = score(restore, variables, test_images, corruption)
    noisy = score(clipped, variables, test_images, corruption)
    summary = {
        "experiment": experiment.name,
        "model": config.model,
        "test": test.means() | {f"noisy_{name}": value for name, value in noisy.means().items()},
        "train": {"mse": lines[-1]["train_mse"]},
        "data": {
            "name": resolved.name,
            "reason": resolved.reason,
            "train_size": len(train_images),
            "test_size": len(test_images),
        },
        "noise": noise.describe(corruption),
        "epochs": len(lines),
        "throughput": throughput(lines),
        "device": runs.device(),
        "versions": runs.versions(),
        "params_digest": digest(state.params),
        "command": shlex.join(["python", "-m", f"jaxae.experiments.{experiment.name}", *sys.argv[1:]]),
    }
    figures.write(config.run_dir, restore, variables, test_images, corruption, lines)
    runs.write_json(config.run_dir / runs.SUMMARY, summary)
    print(
        f"test: mse {summary['test']['mse']:.5f}, psnr {summary['test']['psnr']:.2f} dB "
        f"(noisy input {summary['test']['noisy_psnr']:.2f}), ssim {summary['test']['ssim']:.4f}\n"
        f"written: {config.run_dir}/ (summary.json, figures/images.png, figures/curves.png)"
    )
    return summary


def _train(
    config: Config,
    task: Task,
    train_images: np.ndarray,
    test_images: np.ndarray,
    checkpoints: Checkpoints,
    progress: Progress,
) -> TrainState:
    """Train from the latest checkpoint, or from fresh weights where there is none, to the last epoch."""
    member = make_member(task, config.seed, config.train.learning_rate)
    images = jnp.asarray(train_images)
    state = init(task, member, train_images.shape[1:])
    if checkpoints.epochs:
        state = checkpoints.restore(checkpoints.epochs[-1], state)
    done = epochs_done(task, state, images)
    lines = runs.read_metrics(config.run_dir)[:done]
    if done:
        progress.say(f"going on after epoch {done}")
        progress.epoch(lines[-1])
    trained = steps_per_epoch(len(images), task.batch_size) * task.batch_size
    for epoch in fit(task, member, state, images, config.train.epochs):
        if not math.isfinite(epoch.loss):
            raise UserError(
                f"the training loss is {epoch.loss} in epoch {epoch.number}: the run stopped, {config.run_dir} holds "
                "the state before it; try a lower --train.learning-rate"
            )
        state = epoch.state
        test = score(task.model.apply, {"params": state.params}, test_images, task.noise).means()
        lines.append(
            {"epoch": epoch.number, "train_mse": epoch.loss}
            | test
            | {"images_per_second": trained / epoch.seconds, "compile_seconds": epoch.compile_seconds}
        )
        checkpoints.save(epoch.number, state, test["psnr"])
        runs.write_metrics(config.run_dir, lines)
        progress.epoch(lines[-1])
    return state


def resolve_noise(config: Config, gaussian_factor: float) -> tuple[Config, Noise]:
    """The noise that `config` names, and `config` with its strength written out."""
    settings = config.noise
    if settings.kind == "gaussian" and settings.factor is None:
        settings = dataclasses.replace(settings, factor=gaussian_factor)
    corruption = noise.parse(settings.kind, settings.factor, settings.clip)
    return dataclasses.replace(config, noise=settings), corruption


def resolve_recipe(config: Config) -> Config:
    """`config` with the recipe's own figures written where it names none."""
    own = recipes.SETTINGS[config.recipe][config.model]._asdict()
    given = {name: value for name in own if (value := getattr(config.train, name)) is not None}
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **own | given))


def make_task(config: Config, corruption: Noise, images: int) -> Task:
    """The training that a resolved `config` describes, on so many training images."""
    settings = config.train
    if settings.target == "noisy" and not corruption.keeps_mean:
        raise UserError(
            f"--train.target noisy needs noise that leaves the mean alone, not {noise.describe(corruption)}: "
            f"take gaussian, uniform, speckle or poisson without --noise.clip"
        )
    steps = settings.epochs * steps_per_epoch(images, settings.batch_size)
    return Task(
        models.build(config.model, settings.ops, settings.precision),
        recipes.make_optimizer(config.recipe, steps),
        corruption,
        settings.batch_size,
        settings.target,
    )


def as_started(config: Config) -> Config:
    """`config` with every auto replaced by what it became when the run, if there is one to resume, was started."""
    if not runs.is_run(config.run_dir):
        return config
    old = runs.load_config(config.run_dir)
    if config.data.name == "auto":
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, name=old.data.name))
    return dataclasses.replace(config, model=old.model) if config.model == "auto" else config


def resolve_data(config: Config, experiment: Experiment) -> tuple[Config, data.Resolved]:
    """The data set that `config` names, had or made if need be."""
    resolved = data.resolve(config.data.name, config.data.dir, fallback=experiment.fallback, wanted=experiment.data)
    settings = dataclasses.replace(config.data, name=resolved.name)
    return dataclasses.replace(config, data=settings), resolved


def resolve_model(config: Config, image_shape: tuple[int, ...]) -> Config:
    """`config` with the network for `image_shape` named. Raises UserError where none, or not the named one, fits."""
    name = models.for_image_shape(image_shape) if config.model == "auto" else config.model
    models.check_image_shape(name, image_shape)
    return dataclasses.replace(config, model=name)


def throughput(lines: list[dict[str, Any]]) -> dict[str, float]:
    """Training images per second, the median over epochs, and seconds of compiling."""
    return {
        "images_per_second": float(np.median([line["images_per_second"] for line in lines])),
        "compile_seconds": float(max(line["compile_seconds"] for line in lines)),
    }
