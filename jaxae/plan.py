"""What a configuration comes to: the data set, the noise, the network and the recipe, each settled or refused.

Everything that can be refused is refused here, before anything is compiled.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxae import data, models, noise, ops, parallel, recipes, runs, tensorboard
from jaxae.config import Config
from jaxae.data.records import Records
from jaxae.data.stream import Stream, fits_device, fits_host
from jaxae.errors import UserError
from jaxae.noise import Noise
from jaxae.train import Task, steps_per_epoch

# what a field holds that leaves its value to the recipe, the experiment or the data
OPEN = {
    "name": "auto",
    "model": "auto",
    "dir": None,
    "factor": None,
    "epochs": None,
    "batch_size": None,
    "learning_rate": None,
}


class Experiment(NamedTuple):
    """What sets an experiment apart: a name, its data, and the configuration that its command line starts from."""

    name: str
    data: str  # what --data.name auto stands for
    fallback: str  # the embedded data set that takes its place
    model: str  # the network that the images of a folder, which have no shape of their own, are cut for
    config: Config = Config()
    gaussian_factor: float = 0.5


class Plan(NamedTuple):
    """A run with everything settled: `config` names no auto and leaves no figure open."""

    config: Config
    task: Task
    train_images: UInt8[np.ndarray, "n h w c"] | Stream  # for the device, or to stay on the host
    test_images: UInt8[np.ndarray, "m h w c"]
    data_reason: str | None  # why the data set is not the experiment's own


def make_plan(experiment: Experiment, config: Config, devices: parallel.Devices | None = None) -> Plan:
    """Settle what `config` leaves open, for `devices` that share each batch.

    Raises UserError for what no run can do, naming the input and the remedy.
    """
    config.check()
    if config.log.tensorboard:
        tensorboard.require()
    if config.run_dir is None:
        config = dataclasses.replace(config, run_dir=runs.default_directory(experiment.name))
    runs.check_directory(config)
    config, corruption = resolve_noise(as_started(config), experiment.gaussian_factor)
    ops.pick(config.train.ops)
    config, reason = resolve_data(config, experiment)
    shape = models.MODELS[experiment.model if config.model == "auto" else config.model].image_shape
    train_images = load_train_images(config, shape)
    test_images = _load(config.data.name, "test", config.data.dir, shape)
    config = resolve_recipe(resolve_model(config, train_images.shape[1:]))
    parallel.check_batch_size(config.train.batch_size, devices)
    task = make_task(config, corruption, len(train_images))._replace(devices=devices)
    return Plan(config, task, train_images, test_images, reason)


def load_train_images(config: Config, shape: tuple[int, int, int]) -> UInt8[np.ndarray, "n h w c"] | Stream:
    """The training images, where `config` wants them; `shape` is that of a folder's images."""
    wanted, placement = config.data, config.data.placement
    name = (wanted.name, "train", wanted.dir)
    size = data.count_bytes(*name, shape)
    if config.parallel == "pmap" and placement != "device" and (placement == "stream" or not fits_device(size)):
        raise UserError(
            "--parallel pmap trains on images on the device: use --parallel jit, or --data.placement device"
        )
    if placement == "device" or (placement == "auto" and fits_device(size)):
        return _load(*name, shape)[: wanted.limit]
    if wanted.name.startswith("folder:") or fits_host(size):
        return Stream(_load(*name, shape)[: wanted.limit])
    return Stream(Records(data.ensure(wanted.name, wanted.dir), "train", wanted.limit))


@functools.lru_cache(maxsize=2)  # the members of a sweep share their images
def _load(
    name: str, split: str, data_dir: Path | None, shape: tuple[int, int, int]
) -> UInt8[np.ndarray, "n height width channels"]:
    images = data.load(name, split, data_dir, shape)
    images.setflags(write=False)
    return images


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
    if steps >= 2**31:  # the step is an int32
        raise UserError(f"--train.epochs {settings.epochs}: makes {steps:,} steps, and a run has fewer than 2**31")
    return Task(
        models.build(config.model, settings.ops, settings.precision),
        recipes.make_optimizer(config.recipe, steps),
        corruption,
        settings.batch_size,
        settings.target,
    )


def as_started(config: Config) -> Config:
    """`config` with what it leaves open as it was settled when the run, if there is one to resume, was started."""
    if not runs.is_run(config.run_dir):
        return config
    old = runs.load_config(config.run_dir)
    groups = ["data", "train", *(["noise"] if config.noise.kind == old.noise.kind else [])]
    settled = {group: _settled(getattr(config, group), getattr(old, group)) for group in groups}
    return dataclasses.replace(_settled(config, old), **settled)


def _settled(settings: Any, old: Any) -> Any:
    """The dataclass instance `settings`, with `old`'s value in each field that is left `OPEN`."""
    left_open = [name for name, value in vars(settings).items() if name in OPEN and value == OPEN[name]]
    return dataclasses.replace(settings, **{name: getattr(old, name) for name in left_open})


def resolve_data(config: Config, experiment: Experiment) -> tuple[Config, str | None]:
    """`config` with its data set named, had or made if need be, and why it is not the experiment's own if it is not."""
    resolved = data.resolve(config.data.name, config.data.dir, fallback=experiment.fallback, wanted=experiment.data)
    settings = dataclasses.replace(config.data, name=resolved.name)
    return dataclasses.replace(config, data=settings), resolved.reason


def resolve_model(config: Config, image_shape: tuple[int, ...]) -> Config:
    """`config` with the network for `image_shape` named. Raises UserError where none, or not the named one, fits."""
    name = models.for_image_shape(image_shape) if config.model == "auto" else config.model
    models.check_image_shape(name, image_shape)
    return dataclasses.replace(config, model=name)
