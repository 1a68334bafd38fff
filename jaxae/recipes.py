"""How the optimizer is driven: the originals' plain Adam, and a schedule that gets further in fewer epochs."""

from typing import NamedTuple

import optax


class Settings(NamedTuple):
    """What a recipe takes where the command line says nothing."""

    epochs: int
    batch_size: int
    learning_rate: float


# by recipe and network; those of fast were chosen on a validation part of the training split
SETTINGS: dict[str, dict[str, Settings]] = {
    "plain": {"mnist": Settings(10, 128, 1e-3), "cifar": Settings(10, 128, 1e-3)},
    "fast": {"mnist": Settings(3, 64, 4e-3), "cifar": Settings(5, 64, 1e-2)},
}


def make_optimizer(recipe: str, steps: int) -> optax.GradientTransformation:
    """Adam for a (peak) learning rate of 1: constant, or over one cycle of `steps` steps.

    The cycle is that of Smith and Topin, "Super-convergence", 2018, with a cosine up and down.
    """
    return optax.adam(optax.cosine_onecycle_schedule(steps, 1.0, pct_start=0.2) if recipe == "fast" else 1.0)
