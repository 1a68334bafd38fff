"""A run's directory as training leaves it, without training."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxae import models, noise
from jaxae.config import Config, DataConfig, Launch, NoiseConfig, TrainConfig
from jaxae.experiments.plan import make_task, settle_training
from jaxae.run import directory
from jaxae.run.checkpoints import Checkpoints
from jaxae.training import start


def random_params(model: str, seed: int = 0) -> dict:
    """Parameters for the network called `model` with which its outputs are neither all the same nor all black."""
    network, rng = models.build(model, "xla"), np.random.default_rng(seed)
    images = jnp.zeros((1, *network.image_shape))
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), images)["params"])
    return jax.tree.map(lambda leaf: rng.uniform(-0.2, 0.2, leaf.shape).astype(np.float32), shapes)


def write_run(run_dir: Path, model: str, epoch: int = 3, seed: int = 0, way: str = "auto", margin: int = 0) -> dict:
    """Make `run_dir` a run of the network called `model` on its embedded data set; returns its parameters."""
    data, factor = {"mnist": ("digits", 0.5), "cifar": ("photo_patches", 0.1)}[model]
    train = TrainConfig(ops=way, margin=margin)
    config = settle_training(Config(DataConfig(data), NoiseConfig("gaussian", factor), train, model=model, seed=seed))
    task = make_task(config, noise.parse("gaussian", factor), images=1000)
    params = jax.tree.map(jnp.asarray, random_params(model, seed))
    directory.claim(config, Launch(run_dir=run_dir))
    with Checkpoints(run_dir) as checkpoints:
        state = start(task, params)._replace(step=jnp.int32(7 * epoch))
        checkpoints.save(epoch, state, merit=10.0)
    return jax.device_get(params)
