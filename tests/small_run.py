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
    rng, shapes = np.random.default_rng(seed), tracing.params_like(networks.build(network, "xla"))
    return jax.tree.map(lambda leaf: rng.uniform(-0.2, 0.2, leaf.shape).astype(np.float32), shapes)


def write_run(
    run_dir: Path, network: str, epoch: int = 3, seed: int = 0, backend: str = "auto", reflect_padding: int = 0
) -> dict:
    """Make `run_dir` a run of the network called `network` on its embedded data set; returns its parameters."""
    data, factor = {"mnist": ("digits", 0.5), "cifar": ("photo_patches", 0.1)}[network]
    train = TrainConfig(10, 128, 1e-3, lsuv=False, backend=backend, reflect_padding=reflect_padding)
    config = Config(DataConfig(data), NoiseConfig("gaussian", factor), train, network=network, seed=seed)
    task = make_task(network, train, "plain", Objective(), 1000)
    params = jax.tree.map(jnp.asarray, random_params(network, seed))
    directory.claim(run_dir, config, Launch(run_dir=run_dir))
    with Checkpoints(run_dir) as checkpoints:
        state = start_from(task, params)._replace(step=jnp.int32(7 * epoch))
        checkpoints.save(epoch, state, score=10.0)
    return jax.device_get(params)
