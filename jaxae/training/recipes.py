"""Recipes: an optimizer with its schedule, and the settings that suit it for each network."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import optax

from jaxae.networks import CifarAutoencoder, GreyPhotoDenoiser, MnistDenoiser, Network, PhotoDenoiser
from jaxae.registry import Registry
from jaxae.training.soap import scale_by_soap

OptimizerFactory = Callable[[int], optax.GradientTransformation]


class Settings(NamedTuple):
    """How a recipe trains a network unless the command line says otherwise.

    Attributes:
        epochs: passes over the training images.
        batch_size: images in a step.
        learning_rate: the rate, or the peak of a schedule.
        lsuv: whether initial weights are scaled, see `jaxae.training.lsuv`.
        reflect_padding: pixels, see `jaxae.networks.Network`.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    lsuv: bool = False
    reflect_padding: int = 0


@dataclass(frozen=True, eq=False)
class Recipe:
    """How networks are trained.

    Attributes:
        optimizer: from the number of steps of a run to an optimizer for a (peak) learning rate of 1.
        settings: those for networks that are not in `tuned`.
        tuned: those for others; a module that adds a network may add its own.
        has_schedule: whether the learning rate depends on the number of steps, so that a run cannot be prolonged.
    """

    optimizer: OptimizerFactory
    settings: Settings
    tuned: dict[type[Network], Settings] = field(default_factory=dict)
    has_schedule: bool = False

    def settings_for(self, network: type[Network]) -> Settings:
        """Return the settings for `network`."""
        return self.tuned.get(network, self.settings)


RECIPES: Registry[Recipe] = Registry("recipe")


def recipe(name: str, settings: Settings, **options: Any) -> Callable[[OptimizerFactory], OptimizerFactory]:
    """Return a decorator that registers ``optimizer(steps)`` as a recipe.

    Args:
        name: the recipe's name.
        settings: see `Recipe`.
        **options: further fields of `Recipe`.
    """

    def decorate(optimizer: OptimizerFactory) -> OptimizerFactory:
        RECIPES[name] = Recipe(optimizer, settings, **options)
        return optimizer

    return decorate


@functools.cache
def make_optimizer(name: str, steps: int) -> optax.GradientTransformation:
    """Return the optimizer of the recipe called `name` for a run of so many steps and a (peak) learning rate of 1.

    The same arguments return the same object. Programs are compiled for an optimizer, so a second run like the first in
    one process, as in a notebook, compiles nothing.
    """
    return RECIPES[name].optimizer(steps)


ADAM = optax.adam(1.0)


@recipe("plain", Settings(epochs=10, batch_size=128, learning_rate=1e-3))
def adam(steps: int) -> optax.GradientTransformation:
    """Adam at a constant rate, as in the original programs; one object whatever the number of steps."""
    return ADAM


@recipe(
    "fast",
    Settings(epochs=5, batch_size=64, learning_rate=1e-2, lsuv=True),
    tuned={
        MnistDenoiser: Settings(epochs=3, batch_size=64, learning_rate=8e-3),
        CifarAutoencoder: Settings(epochs=5, batch_size=64, learning_rate=2e-2, lsuv=True, reflect_padding=4),
        PhotoDenoiser: Settings(epochs=10, batch_size=32, learning_rate=5e-3, lsuv=True),
        GreyPhotoDenoiser: Settings(epochs=10, batch_size=32, learning_rate=5e-3, lsuv=True),
    },
    has_schedule=True,
)
def soap_one_cycle(steps: int) -> optax.GradientTransformation:
    """SOAP with a one-cycle schedule."""
    return optax.chain(scale_by_soap(), optax.scale_by_learning_rate(one_cycle(steps)))


def one_cycle(steps: int) -> optax.Schedule:
    """Rise from 0 to 1 over the first fifth of `steps` steps, then fall to 0 along a cosine.

    After Smith and Topin, "Super-convergence", arXiv:1708.07120.
    """
    return optax.warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps=steps // 5, decay_steps=steps)
