"""A trained run loaded from its directory: the network with its parameters, and the images to use it on."""

import warnings
from pathlib import Path
from typing import NamedTuple

import jax
from jaxtyping import PyTree

from jaxae import data, networks, noise, tracing
from jaxae.config import Config, DataOverride, NoiseConfig, NoiseOverride
from jaxae.data import Dataset
from jaxae.errors import UserError
from jaxae.noise import Noise
from jaxae.runs import directory, fingerprint
from jaxae.runs.checkpoints import Checkpoints, Choice, saved_epochs
from jaxae.runs.evaluation_set import EvaluationSet
from jaxae.training.objectives import OBJECTIVES, Objective, is_blind

OWN_DATA, OWN_NOISE = DataOverride(), NoiseOverride()


class TrainedRun(NamedTuple):
    """A trained run; ``model.apply({"params": params}, images)`` restores images.

    Attributes:
        run_dir: its directory.
        config: its configuration.
        model: its network.
        params: the parameters of the checkpoint.
        epoch: the epoch of the checkpoint.
    """

    run_dir: Path
    config: Config
    model: networks.Network
    params: PyTree
    epoch: int


def load_run(run_dir: Path, checkpoint: Choice = "latest") -> TrainedRun:
    """Load the parameters of a run onto the default device, whatever devices it was trained on.

    Args:
        run_dir: the run's directory.
        checkpoint: which one. If it is damaged the next takes its place, with a warning.

    Raises:
        UserError: if `run_dir` holds no run, no checkpoint, or no intact one.
    """
    config = directory.load_config(run_dir)
    settings = config.train
    model = networks.build(config.network, settings.backend, settings.precision, settings.reflect_padding or 0)
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shapes = tracing.params_like(model)
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), shapes)
    if not saved_epochs(run_dir):
        raise UserError(f"the run in {run_dir} has no checkpoint yet: let it finish an epoch")
    with Checkpoints(run_dir, read_only=True) as checkpoints:
        epoch, params = checkpoints.restore_chosen(checkpoint, like)
        return TrainedRun(run_dir, config, model, params, epoch)


def load_start(init_from: Path | None, run_dir: Path, network: str) -> PyTree | None:
    """Return the parameters to start from; None for fresh ones, and for a run that has a checkpoint to continue from.

    Raises:
        UserError: if the run in `init_from` cannot be loaded or has another network.
    """
    if init_from is None or saved_epochs(run_dir):
        return None
    run = load_run(init_from)
    if run.config.network != network:
        raise UserError(
            f"`init_from` {init_from}: it holds the {run.config.network} network, and this run trains the {network} "
            "network: name a run of that one, or another `network`"
        )
    return run.params


def open_data(run: TrainedRun, wanted: DataOverride = OWN_DATA) -> Dataset:
    """Open a data set, the run's own unless `wanted` names another.

    Raises:
        UserError: if it cannot be opened.
    """
    own = run.config
    name = wanted.name or own.data.name
    own_range = own.data.range if data.find_source(name).takes_value_range else None
    return data.open(
        name,
        wanted.dir or directory.load_launch(run.run_dir).data.dir,
        image_shape=run.model.image_shape,
        value_range=data.parse_value_range(wanted.range or own_range),
        resize=not is_blind(_objective(own), _noise(own.noise)),
        test_split=own.data.test_split if wanted.name in (None, own.data.name) else "test",
    )


def open_test(run: TrainedRun, wanted: DataOverride = OWN_DATA, override: NoiseOverride = OWN_NOISE) -> EvaluationSet:
    """Open the test images, with the run's own data and noise unless `wanted` and `override` name others.

    Warns if the run's own data set no longer holds the images that it was tested on.

    Raises:
        UserError: if they cannot be opened, or do not fit the network.
    """
    dataset, objective = open_data(run, wanted), _objective(run.config)
    added = _noise(override.applied_to(run.config.noise))
    images = data.check_images(dataset.load("test"), dataset.name)
    networks.resolve_name(run.config.network, images.shape[1:])
    test = EvaluationSet(dataset.name, images, added, objective if is_blind(objective, added) else None)
    before = fingerprint.read_fingerprint(run.run_dir)
    if test.name == run.config.data.name and before is not None:
        now = fingerprint.take_fingerprint(images, images)
        if (before.test, before.test_digest) != (now.test, now.test_digest):
            warnings.warn(f"{test.name} no longer holds the test images that the run was tested on", stacklevel=2)
    return test


def _noise(config: NoiseConfig) -> Noise:
    return noise.parse(config.kind, config.factor, config.clip)


def _objective(config: Config) -> Objective:
    return OBJECTIVES[config.train.target](config.train.sigma)
