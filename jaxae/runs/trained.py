"""A trained run: the network with its parameters, from a run's directory or a file, and the images to use it on."""

import dataclasses
import functools
import json
import os
import warnings
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from flax import traverse_util
from jax.core import Tracer
from jaxtyping import Array, PyTree
from safetensors import SafetensorError, safe_open

from jaxae import data, files, networks, noise, ops, tracing
from jaxae.config import Config, DataOverride, NoiseConfig, NoiseOverride
from jaxae.data import Dataset
from jaxae.errors import UserError
from jaxae.noise import Noise
from jaxae.runs import directory, fingerprint
from jaxae.runs.evaluation_set import EvaluationSet
from jaxae.training.objectives import OBJECTIVES, Objective, is_blind
from jaxae.training.testing import restore_images

SHIPPED = Path(__file__).parents[1] / "weights"
SUFFIX, METADATA = ".safetensors", "jaxae"
OWN_DATA, OWN_NOISE = DataOverride(), NoiseOverride()


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=["run_dir", "config", "network", "epoch"]
)
@dataclasses.dataclass(frozen=True, eq=False)
class TrainedRun:
    """A trained network, a function from images to restored images; `jax.jit` takes it as function and as argument.

    Attributes:
        run_dir: the run's directory, or the file that holds the weights.
        config: the run's configuration.
        network: the network.
        params: its parameters.
        epoch: the epoch of the checkpoint.
    """

    run_dir: Path
    config: Config
    network: networks.Network
    params: PyTree
    epoch: int

    def __call__(self, images: Array | np.ndarray) -> Array:
        """Return the restored images, float32.

        Args:
            images: floats [batch, height, width, channels] in [0, 1], with the channels of the network.
        """
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise TypeError(f"images of {images.dtype}: the network takes floats in [0, 1]; jaxae.denoise takes both")
        images = jnp.asarray(images)
        # part of another program, whose compiler has options of its own
        if any(isinstance(each, Tracer) for each in jax.tree.leaves((self.params, images))):
            return restore_images(self.network, self.params, images)
        return ops.jit(restore_images, self.network.backend, static_argnums=0)(self.network, self.params, images)


def load_run(run_dir: Path | str, checkpoint: Literal["latest", "best"] = "latest") -> TrainedRun:
    """Load a trained network onto the default device, whatever devices it was trained on.

    Args:
        run_dir: the run's directory; the name of weights that ship with jaxae, such as "ready"; or a file of
            `save_weights`.
        checkpoint: which one of a run. If it is damaged the next takes its place, with a warning.

    Raises:
        UserError: if `run_dir` holds no run, no checkpoint, or no intact one.
    """
    run_dir = Path(run_dir)
    if not directory.is_run(run_dir):
        file = run_dir if run_dir.suffix == SUFFIX else SHIPPED / f"{run_dir}{SUFFIX}"
        if file.is_file() and checkpoint == "latest":
            return _read_weights(file, file.stat().st_mtime_ns)
        if file.is_file():
            raise UserError(f"`checkpoint` {checkpoint}: {run_dir} is a file with one set of weights: omit it")
        if not run_dir.exists():
            names = ", ".join(sorted(path.stem for path in SHIPPED.glob(f"*{SUFFIX}")))
            raise UserError(f"no run in {run_dir}: there is no such directory; weights that ship with jaxae: {names}")
    from jaxae.runs.checkpoints import Checkpoints, saved_epochs  # Orbax takes long to import

    config = directory.load_config(run_dir)
    network, device = _build(config), jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shapes = tracing.params_like(network)
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), shapes)
    if not saved_epochs(run_dir):
        raise UserError(f"the run in {run_dir} has no checkpoint yet: let it finish an epoch")
    with Checkpoints(run_dir, read_only=True) as checkpoints:
        epoch, params = checkpoints.restore_chosen(checkpoint, like)
        return TrainedRun(run_dir, config, network, params, epoch)


@functools.lru_cache(maxsize=4)
def _read_weights(path: Path, modified: int) -> TrainedRun:
    """Read a file of `save_weights`; `modified` is its time, so that another file of this name is read anew."""
    try:
        with safe_open(path, "numpy") as file:
            record = json.loads((file.metadata() or {})[METADATA])
            arrays = {name: jnp.asarray(file.get_tensor(name), jnp.float32) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path} is not a file of jaxae.save, or a damaged one: {error}") from error
    config = directory.parse_config(path, json.dumps(record["config"]))
    network, params = _build(config), traverse_util.unflatten_dict(arrays, sep=".")
    there, own = (jax.tree.map(lambda leaf: leaf.shape, each) for each in (params, tracing.params_like(network)))
    if there != own:
        raise UserError(f"{path} holds other arrays than the {config.network} network has: it is damaged")
    return TrainedRun(path, config, network, params, record["epoch"])


def save_weights(run: TrainedRun, path: Path | str, dtype: Literal["float32", "float16"] = "float32") -> None:
    """Write a trained network as one file, which `load_run` reads: safetensors, with the configuration as metadata.

    Args:
        run: the network.
        path: the file, which ends in .safetensors; an existing one is replaced.
        dtype: of the stored parameters.
    """
    path = Path(path)
    if path.suffix != SUFFIX:
        raise UserError(f"{path}: the file must end in {SUFFIX}")
    flat = traverse_util.flatten_dict(jax.device_get(run.params), sep=".")
    config = directory.as_record(dataclasses.replace(run.config, init_from=None))
    metadata = {METADATA: json.dumps({"epoch": run.epoch, "config": config})}  # one key: their order is not fixed
    files.write_bytes(path, safetensors.numpy.save({name: np.asarray(x, dtype) for name, x in flat.items()}, metadata))


def _build(config: Config) -> networks.Network:
    settings = config.train
    return networks.build(config.network, settings.backend, settings.precision, settings.reflect_padding or 0)


def absolute_place(run_dir: Path) -> Path:
    """Return `run_dir` as an absolute path; the name of weights that ship stays as it is."""
    is_name = not run_dir.exists() and (SHIPPED / f"{run_dir}{SUFFIX}").is_file()
    return run_dir if is_name else Path(os.path.abspath(run_dir.expanduser()))


def load_twin(run: TrainedRun) -> TrainedRun:
    """Return the network for grey pictures that belongs to `run`: of weights, those in NAME-grey beside NAME.

    A run without one is its own.
    """
    twin = run.run_dir.with_name(f"{run.run_dir.stem}-grey{SUFFIX}")
    return load_run(twin) if run.run_dir.suffix == SUFFIX and twin.is_file() else run


def load_start(init_from: Path | None, run_dir: Path, network: str) -> PyTree | None:
    """Return the parameters to start from; None for fresh ones, and for a run that has a checkpoint to continue from.

    Raises:
        UserError: if the run in `init_from` cannot be loaded or has another network.
    """
    from jaxae.runs.checkpoints import saved_epochs

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
        image_shape=run.network.image_shape,
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
