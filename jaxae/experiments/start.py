"""Where a run begins: fresh parameters, scaled where its recipe says so, or those of another run."""

import numpy as np
from jaxtyping import PyTree, UInt8

from jaxae.config import Config, Launch
from jaxae.data import halves
from jaxae.data.stream import Stream
from jaxae.errors import UserError
from jaxae.run import trained
from jaxae.training import Hyperparameters, Task, TrainState, init, scaled_start, start

SCALED_ON = 256  # training images, where a recipe scales fresh parameters by what they answer


def load_start(config: Config, launch: Launch) -> PyTree | None:
    """The parameters that a settled `config` wants to start from; None for a run that has a checkpoint to go on from.

    Raises UserError where there are none, or of another network.
    """
    if config.init_from is None or any((launch.run_dir / "checkpoints").glob("[0-9]*")):
        return None
    run = trained.restore(config.init_from)
    if run.config.model != config.model:
        raise UserError(
            f"--init-from {config.init_from}: it holds the {run.config.model} network, and this run trains the "
            f"{config.model} network: name a run of that one, or another --model"
        )
    return run.params


def initial_state(
    config: Config,
    task: Task,
    hyper: Hyperparameters,
    images: UInt8[np.ndarray, "n h w c"] | Stream,
    params: PyTree | None,
) -> TrainState:
    """The state in which a run on `images` begins; `params` are another run's, see `load_start`, or None."""
    if params is not None:
        return start(task, params)
    fresh = init(task, hyper, halves.image_shape(images.shape[1:]))
    if not config.train.scaled_start:
        return fresh
    first = images.source if isinstance(images, Stream) else images
    first, _ = halves.split(first[np.arange(min(len(images), SCALED_ON))])
    return start(task, scaled_start(task, hyper, fresh.params, first))
