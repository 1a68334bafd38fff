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


def make_optimizer(recipe: str, learning_rate: float, steps: int) -> optax.GradientTransformation:
    """Adam: at a constant rate, or over one cycle of `steps` steps that peaks at `learning_rate`.

    The cycle is that of Smith and Topin, "Super-convergence", 2018, with a cosine up and down.
    """
    if recipe == "fast":
        return optax.adam(optax.cosine_onecycle_schedule(steps, learning_rate, pct_start=0.2))
    return optax.adam(learning_rate)
