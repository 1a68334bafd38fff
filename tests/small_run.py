"""A run's directory as training leaves it, without training."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxae import networks, tracing
from jaxae.config import Config, DataConfig, Launch, NoiseConfig, TrainConfig
from jaxae.runs import directory
from jaxae.runs.checkpoints import Checkpoints
from jaxae.training import Objective, make_task, start_from


def random_params(network: str, seed: int = 0) -> dict:
    """Parameters for the network called `network` with which its outputs are neither all the same nor all black."""
    return draw_params(networks.build(network, "xla"), seed)


def draw_params(model: networks.Network, seed: int = 0) -> dict:
    """Such parameters for `model`; nothing is compiled, as it would be for its own initial ones."""
    rng, shapes = np.random.default_rng(seed), tracing.params_like(model)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.uniform(-0.2, 0.2, leaf.shape), jnp.float32), shapes)


DATA = {  # of each network: an embedded data set, and the strength of its noise
    "mnist": ("digits", 0.5),
    "cifar": ("photo_patches", 0.1),
    "photo": ("photo_crops", 0.1),
    "photo_grey": ("photo_crops_grey", 0.1),
}


def write_run(run_dir: Path, network: str, epoch: int = 3, seed: int = 0, **train: object) -> dict:
    """Make `run_dir` a run of the network called `network` on its embedded data set; returns its parameters.

    Further arguments are fields of `TrainConfig`.
    """
    data, factor = DATA[network]
    settings = TrainConfig(10, 128, 1e-3, **{"lsuv": False, "reflect_padding": 0} | train)
    config = Config(DataConfig(data), NoiseConfig("gaussian", factor), settings, network=network, seed=seed)
    directory.claim(run_dir, config, Launch(run_dir=run_dir))
    return add_checkpoint(run_dir, network, epoch, seed)


def add_checkpoint(run_dir: Path, network: str, epoch: int, seed: int, score: float = 10.0) -> dict:
    """Give the run a checkpoint of `epoch`, with this validation score; returns its parameters."""
    task = make_task(network, directory.load_config(run_dir).train, "plain", Objective(), 1000)
    params = random_params(network, seed)
    with Checkpoints(run_dir) as checkpoints:
        state = start_from(task, params)._replace(step=jnp.int32(7 * epoch))
        checkpoints.save(epoch, state, score=score)
    return jax.device_get(params)
