"""A trained run as its users need it: the network and its parameters, without optimizer or data."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from jaxae import models, runs
from jaxae.checkpoints import Checkpoints, Choice
from jaxae.config import Config
from jaxae.errors import UserError


class TrainedRun(NamedTuple):
    """What `restore_run` gives; ``model.apply({"params": params}, images)`` restores images."""

    config: Config
    model: models.Autoencoder
    params: PyTree
    epoch: int


def restore_run(run_dir: Path, checkpoint: Choice = "latest") -> TrainedRun:
    """Restore the parameters alone, on the default device, whatever they were trained on.

    Where the checkpoint is damaged the next best takes its place, with a warning. Raises UserError where `run_dir`
    holds no run, no checkpoint, or none that is intact.
    """
    config = runs.load_config(run_dir)
    if config.model == "auto":
        raise UserError(f"{run_dir / runs.CONFIG} is not the configuration of a run: its model is auto")
    model = models.build(config.model, config.train.ops, config.train.precision)
    images = jnp.zeros((1, *model.image_shape))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images)["params"])
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), shapes)
    if not (run_dir / "checkpoints").is_dir():
        raise UserError(f"the run in {run_dir} has no checkpoint yet: let it finish an epoch")
    with Checkpoints(run_dir, read_only=True) as checkpoints:
        if not checkpoints.epochs:
            raise UserError(f"the run in {run_dir} has no checkpoint yet: let it finish an epoch")
        epoch, params = checkpoints.restore_chosen(checkpoint, like)
        return TrainedRun(config, model, params, epoch)
