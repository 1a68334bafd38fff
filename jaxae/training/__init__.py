"""Training: the step and the epoch as pure functions, objectives and recipes, where images are, the loop over epochs,
ensembles, several devices and processes.
"""

from jaxae.training.loop import Epoch, train_epochs
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

__all__ = ["OBJECTIVES", "RECIPES", "Draws", "Epoch", "Hyperparameters", "Objective", "Recipe", "Settings"]
__all__ += ["Task", "TrainState", "TrainingImages", "add_own_noise", "epochs_done", "hyperparameters", "init"]
__all__ += ["make_optimizer", "make_task", "place_images", "recipe", "resolve_objective", "resolve_task"]
__all__ += ["scale_initial", "start_from", "steps_per_epoch", "to_float", "train_epoch", "train_epochs"]
__all__ += ["train_step"]
