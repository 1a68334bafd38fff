"""Training: the step and the epoch as pure functions (`step`), where images lie (`sources`), the loop (`fit`), many
runs at once (`population`), many devices and processes (`parallel`, `distributed`), and the optimizer (`recipes`).
"""

from jaxae.training.fit import Epoch, fit
from jaxae.training.recipes import make_optimizer
from jaxae.training.scaled_start import scaled_start
from jaxae.training.sources import Source, source
from jaxae.training.step import (
    Hyperparameters,
    Task,
    TrainState,
    epochs_done,
    hyperparameters,
    init,
    loss_fn,
    start,
    steps_per_epoch,
    to_float,
    train_epoch,
    train_step,
)

__all__ = [
    "Epoch",
    "Hyperparameters",
    "Source",
    "Task",
    "TrainState",
    "epochs_done",
    "fit",
    "hyperparameters",
    "init",
    "loss_fn",
    "make_optimizer",
    "scaled_start",
    "source",
    "start",
    "steps_per_epoch",
    "to_float",
    "train_epoch",
    "train_step",
]
