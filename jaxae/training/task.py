"""What a training program is compiled for, and how the options of a run settle it."""

import dataclasses
import warnings
from typing import NamedTuple

import optax

from jaxae import networks
from jaxae.config import Config, TrainConfig
from jaxae.data.images import Images
from jaxae.errors import UserError
from jaxae.networks import NETWORKS, Network
from jaxae.noise import Noise
from jaxae.training import parallel
from jaxae.training.objectives import Objective, resolve_objective
from jaxae.training.recipes import RECIPES, Settings, make_optimizer


class Task(NamedTuple):
    """What a training program is compiled for; hashable.

    Attributes:
        model: the network.
        optimizer: for a learning rate of 1.
        batch_size: images in a step.
        objective: what the network is trained to do.
        devices: the devices that share each batch; None for the one that the arrays are on.
    """

    model: Network
    optimizer: optax.GradientTransformation
    batch_size: int
    objective: Objective = Objective()
    devices: parallel.Devices | None = None


def resolve_task(
    config: Config, noise: Noise, images: Images, has_pairs: bool, devices: parallel.Devices | None = None
) -> tuple[str, TrainConfig, Task]:
    """Resolve how a network is trained.

    Args:
        config: the options.
        noise: the noise to add.
        images: the training images.
        has_pairs: whether they are pairs of noisy and clean ones.
        devices: the devices that share each batch.

    Returns:
        The name of the network, the options with a value for each, and the task.

    Raises:
        UserError: for an unknown network, recipe or objective, and for what it cannot do.
    """
    name = networks.resolve_name(config.network, images.shape[1:])
    own = RECIPES[config.recipe].settings_for(NETWORKS[name])
    if config.init_from is not None and config.train.lsuv:
        raise UserError(f"`lsuv`: a run from the weights of {config.init_from} keeps them: omit one of the two")
    settings = complete_settings(config.train, own, config.init_from is None, devices)
    objective = resolve_objective(
        settings.target, settings.sigma, noise, has_pairs=has_pairs, precision=settings.precision
    )
    if objective.hides_pixels and NETWORKS[name].is_residual:  # which outside of training are there, with their noise
        raise UserError(
            f"`target` {settings.target}: the {name} network adds to its input, and would copy the noise of the pixels "
            "that are hidden in training: take `target` sure, pairs, or another network"
        )
    return name, settings, make_task(name, settings, config.recipe, objective, images.count, devices)


def complete_settings(
    given: TrainConfig, own: Settings, is_fresh: bool, devices: parallel.Devices | None
) -> TrainConfig:
    """Return the options with the settings of a recipe where they leave something open; LSUV is for fresh weights."""
    lsuv = own.lsuv if given.lsuv is None else given.lsuv
    return dataclasses.replace(
        given,
        epochs=given.epochs or own.epochs,
        batch_size=_choose_batch_size(given.batch_size, own.batch_size, devices),
        learning_rate=given.learning_rate or own.learning_rate,
        lsuv=lsuv and is_fresh,
        reflect_padding=own.reflect_padding if given.reflect_padding is None else given.reflect_padding,
    )


def _choose_batch_size(given: int | None, own: int, devices: parallel.Devices | None) -> int:
    """The batch size that was given, or the largest up to the recipe's own that the devices can share."""
    if given is not None:
        parallel.check_batch_size(given, devices)
        return given
    count = 1 if devices is None else devices.count
    most = max(count, own - own % count)
    if most != own:
        warnings.warn(f"batches of {most} images: {count} devices cannot share {own} evenly", stacklevel=2)
    return most


def make_task(
    network: str,
    settings: TrainConfig,
    recipe: str,
    objective: Objective,
    count: int,
    devices: parallel.Devices | None = None,
) -> Task:
    """Return the task of a run with complete `settings` on `count` training images.

    Raises:
        UserError: if there are fewer images than a batch has, or more steps than an int32 counts.
    """
    epochs, batch_size = settings.epochs or 0, settings.batch_size or 0
    steps = epochs * steps_per_epoch(count, batch_size)
    if steps >= 2**31:
        raise UserError(f"`epochs` {epochs}: makes {steps:,} steps, and a run has fewer than 2**31")
    model = networks.build(network, settings.backend, settings.precision, settings.reflect_padding or 0)
    return Task(model, make_optimizer(recipe, steps), batch_size, objective, devices)


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Return the number of full batches in an epoch of `count` images; every epoch's shuffle leaves out the remainder.

    Raises:
        UserError: if there is none.
    """
    if batch_size > count:
        raise UserError(f"`batch_size` {batch_size}: more than the {count} training images; use at most {count}")
    return count // batch_size
