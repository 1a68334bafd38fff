"""The loop over epochs."""

import time
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxae.training.sources import TrainingImages
from jaxae.training.step import Hyperparameters, TrainState, epochs_done
from jaxae.training.task import Task

POLL_SECONDS = 0.001


class Epoch(NamedTuple):
    """The result of an epoch.

    Attributes:
        state: the state after it.
        number: from 1.
        losses: of each step, before its update.
        seconds: the time it took, without compiling.
        compile_seconds: the time that compiling took; 0 after the first epoch.
    """

    state: TrainState
    number: int
    losses: Float[Array, "*members steps"] | Float[np.ndarray, " steps"]
    seconds: float
    compile_seconds: float

    @property
    def loss(self) -> float:
        """The mean over the steps."""
        return float(np.mean(jax.device_get(self.losses), dtype=np.float64))


def train_epochs(
    task: Task, hyper: Hyperparameters, state: TrainState, images: TrainingImages, epochs: int
) -> Iterator[Epoch]:
    """Train until `epochs` epochs are done, including those that led to `state`; yields after each.

    With the state and images of an ensemble (see `jaxae.training.ensemble`), all its members are trained. The next
    epoch consumes a state that was given or yielded: copy what you want to keep.
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
    """Return when the arrays are computed; a signal can interrupt this, unlike `jax.block_until_ready`."""
    while not all(leaf.is_ready() for leaf in jax.tree.leaves(tree)):
        time.sleep(POLL_SECONDS)
    jax.block_until_ready(tree)  # raises an error that occurred in computing them
