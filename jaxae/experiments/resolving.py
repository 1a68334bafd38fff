"""From options to a run: every part of a configuration resolved by its owner, in one pass.

Whatever can be refused is refused here, before anything is compiled.
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import PyTree

from jaxae import networks
from jaxae.config import Config, Launch
from jaxae.data import Dataset, Images
from jaxae.data.configured import load_configured, open_configured
from jaxae.errors import UserError
from jaxae.noise import resolve_noise
from jaxae.runs import directory, fingerprint, tensorboard, trained
from jaxae.runs.evaluation_set import EvaluationSet
from jaxae.runs.fingerprint import Fingerprint
from jaxae.training import (
    Hyperparameters,
    Task,
    TrainState,
    hyperparameters,
    init,
    parallel,
    resolve_task,
    scale_initial,
    start_from,
)
from jaxae.training.objectives import is_blind, takes_noisy_images

LSUV_IMAGES = 256  # training images that initial weights are scaled on


class Experiment(NamedTuple):
    """The defaults of an experiment.

    Attributes:
        name: of its command.
        data: the data set that --data.name auto stands for.
        fallback: the embedded data set that takes its place if that cannot be had.
        network: the network that images of any size are cut for.
        config: the configuration that its command line starts from.
        gaussian_factor: the strength of Gaussian noise, or the range that each image draws its own from.
    """

    name: str
    data: str
    fallback: str
    network: str
    config: Config = Config()
    gaussian_factor: float | str = 0.5


class ResolvedRun(NamedTuple):
    """A run with nothing left open.

    Attributes:
        config: the configuration without any auto, and with every number.
        launch: how it is launched, with a run directory.
        task: what its programs are compiled for.
        hyper: its hyperparameters.
        train: the training images.
        streamed: whether they stay on the host.
        test: the test images.
        validation: the part of the training images to validate on, if any.
        dataset: where they are from.
        fallback_reason: why the data set is not the experiment's own.
        data: the fingerprint of the images.
        start: the parameters to start from, if they are another run's.
    """

    config: Config
    launch: Launch
    task: Task
    hyper: Hyperparameters
    train: Images
    streamed: bool
    test: EvaluationSet
    validation: EvaluationSet | None
    dataset: Dataset
    fallback_reason: str | None
    data: Fingerprint
    start: PyTree | None

    @property
    def run_dir(self) -> Path:
        """The directory of the run."""
        assert self.launch.run_dir is not None
        return self.launch.run_dir

    def initial_state(self) -> TrainState:
        """Draw or take over the state in which the run begins."""
        if self.start is not None:
            return start_from(self.task, self.start)
        fresh = init(self.task, self.hyper, self.train.shape[1:])
        if not self.config.train.lsuv:
            return fresh
        first = self.train.take(np.arange(min(self.train.count, LSUV_IMAGES))).input
        return start_from(self.task, scale_initial(self.task, self.hyper, fresh.params, first))


def resolve(
    experiment: Experiment,
    config: Config,
    launch: Launch,
    devices: parallel.Devices | None = None,
    given: Dataset | None = None,
) -> ResolvedRun:
    """Resolve a configuration.

    Args:
        experiment: the defaults.
        config: the options.
        launch: how the run is launched.
        devices: the devices that share each batch.
        given: the images; by default those that the options name.

    Raises:
        UserError: for what no run can do, with the input and the remedy.
    """
    if launch.log.tensorboard:
        tensorboard.require_tensorboard()
    launch = directory.resolve_launch(launch, experiment.name)
    assert launch.run_dir is not None
    if given is not None:
        dataset, reason = given, None
    else:
        dataset, reason = open_configured(
            config.data,
            launch.data,
            own=experiment.data,
            fallback=experiment.fallback,
            image_shape=networks.crop_shape(config.network, experiment.network),
            resize=not takes_noisy_images(config.train.target, config.noise.kind),
        )
    noise_config, noise = resolve_noise(config.noise, experiment.gaussian_factor, dataset.has_pairs)
    images = load_configured(dataset, config.data, launch.data.placement, config.seed)
    if images.streamed and launch.parallel == "pmap":
        raise UserError("`parallel` pmap needs images on the device: use `parallel` jit, or `placement` device")
    network, settings, task = resolve_task(config, noise, images.train, dataset.has_pairs, devices)
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, name=dataset.name),
        noise=noise_config,
        train=settings,
        network=network,
        init_from=config.init_from and trained.absolute_place(config.init_from),
    )
    start = trained.load_start(config.init_from, launch.run_dir, network)
    hyper = hyperparameters(config.seed, settings.learning_rate or 0.0, noise)
    objective = task.objective if is_blind(task.objective, noise) else None
    test = EvaluationSet(dataset.name, images.test, noise, objective)
    held_out = None if images.validation is None else test._replace(images=images.validation)
    data = fingerprint.take_fingerprint(images.train, images.test)
    return ResolvedRun(
        config, launch, task, hyper, images.train, images.streamed, test, held_out, dataset, reason, data, start
    )
