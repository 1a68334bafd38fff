"""Training: the step and the epoch as pure functions, objectives and recipes, where images are, the loop over epochs,
ensembles, several devices and processes.
"""

from jaxae.training.epochs import Best, RunState, run
from jaxae.training.loop import Call, Epoch, Loop, train_epochs
from jaxae.training.lsuv import scale_initial
from jaxae.training.objectives import OBJECTIVES, Draws, Objective, add_own_noise, resolve_objective
from jaxae.training.recipes import RECIPES, Recipe, Settings, make_optimizer, recipe
from jaxae.training.sources import TrainingImages, place_images
from jaxae.training.step import (
    Hyperparameters,
    TrainState,
    epochs_done,
    hyperparameters,
    init,
    start_from,
    to_float,
    train_epoch,
    train_step,
)
from jaxae.training.task import Task, make_task, resolve_task, steps_per_epoch

__all__ = ["OBJECTIVES", "RECIPES", "Best", "Call", "Draws", "Epoch", "Hyperparameters", "Loop", "Objective", "Recipe"]
__all__ += ["RunState", "Settings", "Task", "TrainState", "TrainingImages", "add_own_noise", "epochs_done"]
__all__ += ["hyperparameters", "init", "make_optimizer", "make_task", "place_images", "recipe"]
__all__ += ["resolve_objective", "resolve_task", "run", "scale_initial", "start_from", "steps_per_epoch", "to_float"]
__all__ += ["train_epoch", "train_epochs", "train_step"]
