"""What a configuration comes to: the data set, the noise, the network and the recipe, each settled or refused.

Everything that can be refused is refused here, before anything is compiled.
"""

import dataclasses
import functools
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import PyTree, UInt8

from jaxae import data, models, noise, ops
from jaxae.config import Config, DataConfig, Launch, TrainConfig
from jaxae.data import halves
from jaxae.data.records import Records
from jaxae.data.stream import Stream, fits_device, fits_host
from jaxae.errors import UserError
from jaxae.experiments.start import initial_state, load_start
from jaxae.noise import Noise
from jaxae.run import directory, tensorboard, trained_on
from jaxae.run.test_set import TestSet, without_clean
from jaxae.run.trained_on import TrainedOn
from jaxae.training import (
    Hyperparameters,
    Task,
    TrainState,
    hyperparameters,
    make_optimizer,
    parallel,
    steps_per_epoch,
)

MOST_FACTOR = 2  # of noise: images are in [0, 1]
Cut = tuple[tuple[int, int, int], tuple[float, float] | None, bool]  # shape, black and white, as they are: of pictures


class Experiment(NamedTuple):
    """What sets an experiment apart: a name, its data, and the configuration that its command line starts from."""

    name: str
    data: str  # what --data.name auto stands for
    fallback: str  # the embedded data set that takes its place
    model: str  # the network that the images of a folder, which have no shape of their own, are cut for
    config: Config = Config()
    gaussian_factor: float = 0.5


class Plan(NamedTuple):
    """A run with everything settled: `config` names no auto and leaves no number open."""

    config: Config
    launch: Launch
    task: Task
    hyper: Hyperparameters
    train_images: UInt8[np.ndarray, "n h w c"] | Stream  # for the device, or to stay on the host
    test: TestSet
    data_reason: str | None  # why the data set is not the experiment's own
    trained_on: TrainedOn
    start: PyTree | None  # the parameters to start from, where they are another run's

    def initial_state(self) -> TrainState:
        """The state in which the run begins."""
        return initial_state(self.config, self.task, self.hyper, self.train_images, self.start)


def make_plan(experiment: Experiment, config: Config, launch: Launch, devices: parallel.Devices | None = None) -> Plan:
    """Settle what `config` and `launch` leave open, for `devices` that share each batch.

    Raises UserError for what no run can do, naming the input and the remedy.
    """
    if launch.log.tensorboard:
        tensorboard.require()
    if launch.run_dir is None:
        launch = dataclasses.replace(launch, run_dir=directory.default(experiment.name))
    if launch.data.dir is not None:  # on record in the run, which may be used from elsewhere
        launch = dataclasses.replace(launch, data=dataclasses.replace(launch.data, dir=launch.data.dir.absolute()))
    directory.check(launch)
    ops.pick(config.train.ops)
    config, corruption = settle_noise(with_absolute_paths(config), experiment.gaussian_factor)
    wanted = models.find(experiment.model if config.model == "auto" else config.model)
    alone = without_clean(config.train, corruption)
    cut = wanted.image_shape, data.limits(config.data.name, config.data.range), alone is not None
    chosen = data.resolve(config.data.name, launch.data.dir, fallback=experiment.fallback, wanted=experiment.data)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, name=chosen.name))
    check_target(config, corruption)
    train_images = load_train_images(config.data, launch, cut)
    test = TestSet(chosen.name, _load(chosen.name, config.data.test_split, launch.data.dir, *cut), corruption, alone)
    shape = halves.image_shape(train_images.shape[1:])
    given, config = config.train.batch_size, settle_training(settle_model(config, shape))
    if given is None:
        config = fit_batch(config, devices)
    parallel.check_batch_size(config.train.batch_size, devices)
    task = make_task(config, corruption, len(train_images), devices)
    hyper = hyperparameters(config.seed, config.train.learning_rate, corruption)
    seen = trained_on.take_down(train_images, test.images)
    return Plan(config, launch, task, hyper, train_images, test, chosen.reason, seen, load_start(config, launch))


def with_absolute_paths(config: Config) -> Config:
    """`config` with its folders named so that it can be used from elsewhere."""
    settings = dataclasses.replace(config.data, name=data.absolute(config.data.name))
    start = None if config.init_from is None else Path(os.path.abspath(config.init_from.expanduser()))
    return dataclasses.replace(config, data=settings, init_from=start)


def load_train_images(wanted: DataConfig, launch: Launch, cut: Cut) -> UInt8[np.ndarray, "n h w c"] | Stream:
    """The training images, where `launch` wants them; `cut` is what a person's own pictures become."""
    place = wanted.name, "train", launch.data.dir, *cut
    placement, size = launch.data.placement, data.count_bytes(*place)
    on_device = placement == "device" or (placement == "auto" and fits_device(size))
    if launch.parallel == "pmap" and not on_device:
        raise UserError(
            "--parallel pmap trains on images on the device: use --parallel jit, or --data.placement device"
        )
    if on_device:
        return _load(*place)[: wanted.limit]
    if data.are_pictures(wanted.name) or fits_host(size):
        return Stream(_load(*place)[: wanted.limit])
    return Stream(Records(data.ensure(wanted.name, launch.data.dir), "train", wanted.limit))


@functools.lru_cache(maxsize=2)  # the members of a sweep share their images
def _load(
    name: str,
    split: str,
    data_dir: Path | None,
    shape: tuple[int, int, int],
    limits: tuple[float, float] | None,
    as_they_are: bool,
) -> UInt8[np.ndarray, "n height width channels"]:
    images = data.load(name, split, data_dir, shape, limits, as_they_are)
    images.setflags(write=False)
    return images


def settle_noise(config: Config, gaussian_factor: float = 0.5) -> tuple[Config, Noise]:
    """`config` with its noise's strength written out, and the noise."""
    settings = config.noise
    if settings.kind == "auto":
        settings = dataclasses.replace(settings, kind="none" if data.are_pairs(config.data.name) else "gaussian")
    if settings.kind == "gaussian" and settings.factor is None:
        settings = dataclasses.replace(settings, factor=gaussian_factor)
    corruption = noise.parse(settings.kind, settings.factor, settings.clip)
    for name, (_, high) in zip(corruption.kinds, corruption.ranges.tolist(), strict=True):
        if noise.KINDS[name].strength == "factor" and high > MOST_FACTOR:
            warnings.warn(
                f"--noise.factor {high:g} is for images in [0, 1], and drowns them: of 255 it is {high / 255:.3g}",
                stacklevel=2,
            )
    return dataclasses.replace(config, noise=settings), corruption


def settle_model(config: Config, image_shape: tuple[int, ...]) -> Config:
    """`config` with the network for `image_shape` named. Raises UserError where none, or not the named one, fits."""
    name = models.for_image_shape(image_shape) if config.model == "auto" else config.model
    models.check_image_shape(name, image_shape)
    return dataclasses.replace(config, model=name)


def settle_training(config: Config) -> Config:
    """`config` with the recipe's own settings for its network written where it names none.

    Raises UserError for a start that cannot be had.
    """
    own, given = models.find(config.model).recipes[config.recipe], config.train
    if config.init_from is not None and given.scaled_start:
        raise UserError(
            f"--train.scaled-start: a run from the weights of {config.init_from} keeps them: drop one of both"
        )
    scaled = own.scaled_start if given.scaled_start is None else given.scaled_start
    train = dataclasses.replace(
        given,
        epochs=given.epochs or own.epochs,
        batch_size=given.batch_size or own.batch_size,
        learning_rate=given.learning_rate or own.learning_rate,
        scaled_start=scaled and config.init_from is None,
        margin=own.margin if given.margin is None else given.margin,
    )
    return dataclasses.replace(config, train=train)


def fit_batch(config: Config, devices: parallel.Devices | None) -> Config:
    """`config` with the most images in a step, up to its own number, that `devices` can share; a warning says so."""
    own, count = config.train.batch_size, 1 if devices is None else devices.count
    most = max(count, own - own % count)
    if most == own:
        return config
    warnings.warn(f"{most} images in a step: {count} devices cannot share {own} evenly", stacklevel=2)
    return dataclasses.replace(config, train=dataclasses.replace(config.train, batch_size=most))


def make_task(config: Config, corruption: Noise, images: int, devices: parallel.Devices | None = None) -> Task:
    """What the program of a settled `config` is compiled for, on so many training images."""
    settings: TrainConfig = config.train
    steps = settings.epochs * steps_per_epoch(images, settings.batch_size)
    if steps >= 2**31:  # the step is an int32
        raise UserError(f"--train.epochs {settings.epochs}: makes {steps:,} steps, and a run has fewer than 2**31")
    model = models.build(config.model, settings.ops, settings.precision, settings.margin)
    optimizer = make_optimizer(config.recipe, steps)
    return Task(model, optimizer, settings.batch_size, settings.target, devices, settings.sigma)


def check_target(config: Config, corruption: Noise) -> None:
    """Raise UserError where the network cannot be trained on its target with this data and noise."""
    settings, target, named = config.train, config.train.target, f"--train.target {config.train.target}"
    if target != "clean" and data.are_pairs(config.data.name):
        raise UserError(f"{named}: pairs have clean images to compare with; leave it out, or name folder:NOISY alone")
    if target != "clean" and not corruption.keeps_mean:
        raise UserError(
            f"{named} needs noise that leaves the mean alone, not {noise.describe(corruption)}: "
            f"take gaussian, uniform, speckle or poisson without --noise.clip"
        )
    if settings.sigma is not None and (target != "sure" or corruption.kinds):
        raise UserError(
            "--train.sigma is for --train.target sure on images that are noisy themselves, with --noise.kind none: "
            "leave it out"
        )
    if target != "sure":
        return
    if settings.precision != "float32":
        raise UserError(f"{named} takes small differences of outputs: it needs --train.precision float32")
    if corruption.kinds and (corruption.kinds != ("gaussian",) or np.ptp(corruption.ranges)):
        raise UserError(
            f"{named} needs gaussian noise of one known strength, not {noise.describe(corruption)}: "
            "take --train.target self"
        )
    if not corruption.kinds and settings.sigma is None:
        raise UserError(
            f"{named} on images that are noisy themselves needs --train.sigma, the standard deviation of their noise"
        )
