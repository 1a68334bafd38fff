"""A trained run as its users need it: the network and its parameters, and images to use it on."""

import warnings
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int, PyTree, UInt8

from jaxae import data, models, noise
from jaxae.config import Config, DataOverride, NoiseOverride
from jaxae.data import halves
from jaxae.errors import UserError
from jaxae.run import directory, trained_on
from jaxae.run.checkpoints import Checkpoints, Choice
from jaxae.run.test_set import TestSet, without_clean

OWN_DATA, OWN_NOISE = DataOverride(), NoiseOverride()


class TrainedRun(NamedTuple):
    """What `restore` gives; ``model.apply({"params": params}, images)`` restores images."""

    run_dir: Path
    config: Config
    model: models.Autoencoder
    params: PyTree
    epoch: int


def restore(run_dir: Path, checkpoint: Choice = "latest") -> TrainedRun:
    """Restore the parameters alone, on the default device, whatever they were trained on.

    Where the checkpoint is damaged the next best takes its place, with a warning. Raises UserError where `run_dir`
    holds no run, no checkpoint, or none that is intact.
    """
    config = directory.load_config(run_dir)
    if config.model == "auto":
        raise UserError(f"{run_dir / directory.CONFIG} is not the configuration of a run: its model is auto")
    model = models.build(config.model, config.train.ops, config.train.precision, config.train.margin)
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
        return TrainedRun(run_dir, config, model, params, epoch)


def open_images(
    run: TrainedRun, wanted: DataOverride = OWN_DATA, split: str = "test"
) -> tuple[str, UInt8[np.ndarray, "n height width channels"]]:
    """The name of a data set and the images of a split of it, the run's own where `wanted` names none.

    Raises UserError where they cannot be had, or do not fit the network.
    """
    name, data_dir, limits = _place(run, wanted)
    images = data.load(name, _own(run, name, split), data_dir, run.model.image_shape, limits, _as_they_are(run))
    models.check_image_shape(run.config.model, halves.image_shape(images.shape[1:]))
    return name, images


def open_labels(run: TrainedRun, wanted: DataOverride = OWN_DATA, split: str = "test") -> Int[np.ndarray, " n"] | None:
    """The class labels that belong to the images of `open_images`, or None where the data set has none."""
    name, data_dir, limits = _place(run, wanted)
    return data.load_labels(name, _own(run, name, split), data_dir, run.model.image_shape, limits, _as_they_are(run))


def open_test(run: TrainedRun, wanted: DataOverride = OWN_DATA, corruption: NoiseOverride = OWN_NOISE) -> TestSet:
    """Test images and noise, the run's own where `wanted` and `corruption` name no other. Raises UserError.

    A warning says so where the run's own data set does not hold the test images any more that it was tested on.
    """
    own = corruption.applied_to(run.config.noise)
    chosen = noise.parse(own.kind, own.factor, own.clip)
    alone = without_clean(run.config.train, chosen)
    test = TestSet(*open_images(run, wanted), chosen, alone)
    before = trained_on.read(run.run_dir)
    if test.name == run.config.data.name and before is not None:
        now = trained_on.take_down(test.images, test.images)
        if (before.test, before.test_digest) != (now.test, now.test_digest):
            warnings.warn(f"{test.name} no longer holds the test images that the run was tested on", stacklevel=2)
    return test


def _as_they_are(run: TrainedRun) -> bool:
    """Whether pictures are cut without resizing, since the run was trained on their own noise."""
    own = run.config.noise
    return without_clean(run.config.train, noise.parse(own.kind, own.factor, own.clip)) is not None


def _own(run: TrainedRun, name: str, split: str) -> str:
    return run.config.data.test_split if (name, split) == (run.config.data.name, "test") else split


def _place(run: TrainedRun, wanted: DataOverride) -> tuple[str, Path | None, tuple[float, float] | None]:
    name = wanted.name or run.config.data.name
    data_dir = wanted.dir or directory.load_launch(run.run_dir).data.dir
    own = run.config.data
    return name, data_dir, data.limits(name, wanted.range) or data.limits(own.name, own.range)
