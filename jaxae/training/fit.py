"""The loop over epochs."""

import time
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxae.training.sources import Source
from jaxae.training.step import Hyperparameters, Task, TrainState, epochs_done

POLL_SECONDS = 0.001


class Epoch(NamedTuple):
    """What an epoch ends with."""

    state: TrainState
    number: int  # the first is 1
    losses: Float[Array, "*members steps"] | Float[np.ndarray, " steps"]  # of each step before its update
    seconds: float  # without compiling
    compile_seconds: float  # 0 after the first

    @property
    def loss(self) -> float:
        """The mean over the steps."""
        return float(np.mean(jax.device_get(self.losses), dtype=np.float64))


def fit(task: Task, hyper: Hyperparameters, state: TrainState, images: Source, epochs: int) -> Iterator[Epoch]:
    """Train until `epochs` epochs are done, those in `state` included; yields after each.

    With a population's state and images (see `population`) all its members are trained. A state given or yielded is
    consumed by the next epoch: copy what is to be kept.
    """
    start = time.perf_counter()
    run_epoch = images.compile(task, hyper, state)
    compile_seconds = time.perf_counter() - start
    for number in range(epochs_done(task, state, len(images)) + 1, epochs + 1):
        start = time.perf_counter()
        state, losses = run_epoch(hyper, state)
        wait(state)
        yield Epoch(state, number, losses, time.perf_counter() - start, compile_seconds)
        compile_seconds = 0.0


def wait(tree: PyTree) -> None:
    """Return when the arrays are computed; unlike `jax.block_until_ready` this can be interrupted by a signal."""
    while not all(leaf.is_ready() for leaf in jax.tree.leaves(tree)):
        time.sleep(POLL_SECONDS)
    jax.block_until_ready(tree)  # an error in computing them is raised here
