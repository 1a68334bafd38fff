"""Epochs as pure functions: each trains on every image, tests, and is taken over only if all its numbers are finite.

`run` is a whole run. The commands call the same epoch in `train_epochs_until`, which stops by itself.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Float32, Int32, PyTree

from jaxae import metrics
from jaxae.data.images import Images
from jaxae.data.rows import ImageRows
from jaxae.training.step import Hyperparameters, TrainState, train_epoch
from jaxae.training.task import Task, steps_per_epoch
from jaxae.training.testing import Batches, Measured, batch_images, measure, tested_objective

MOST = 256  # epochs in a call of `train_epochs_until`
NO_PATIENCE = 2**31 - 1

Record = dict[str, Any]


class ImageSets(NamedTuple):
    """The images that an epoch needs, besides those that it trains on."""

    test: Batches
    validation: Batches | None = None


class Best(NamedTuple):
    """The state with the highest validation score, the earliest of several."""

    state: TrainState
    score: Float32[Array, ""]


class RunState(NamedTuple):
    """What a run hands from epoch to epoch, on the device; with a leading axis, that of an ensemble.

    Attributes:
        state: after the last good epoch.
        measured: its test.
        best: the best state so far; None without a validation part.
        diverged: whether the epoch after `state` had a number that is not finite.
    """

    state: TrainState
    measured: Measured
    best: Best | None
    diverged: Bool[Array, "..."]


def start_run(task: Task, hyper: Hyperparameters, state: TrainState, size: int, best: Best | None = None) -> RunState:
    """Return the run state before an epoch that goes on from `state`, whose own test is left out.

    Args:
        task: see `Task`.
        hyper: the hyperparameters; for an ensemble, like `state`, those of all members.
        state: the state.
        size: the number of test images, with padding.
        best: the best state so far, for a run with a validation part.
    """
    members = state.step.shape
    if tested_objective(task.objective, hyper.noise) is not None:
        names = [metrics.LOSS.name]
    else:
        names = [name for name, each in metrics.METRICS.items() if each.function is not None]
    values, means = {name: jnp.zeros((*members, size)) for name in names}, {name: jnp.zeros(members) for name in names}
    diverged = state.step < jnp.max(state.step)  # members that are behind the others
    return RunState(state, Measured(values, means, jnp.zeros(members)), best, diverged)


def measure_sets(
    task: Task, hyper: Hyperparameters, params: PyTree, sets: ImageSets
) -> tuple[Measured, Measured | None]:
    """Test on the test images, and on those of the validation part, if there is one."""
    objective = tested_objective(task.objective, hyper.noise)
    test, validation = (
        None if batches is None else measure(task.model, objective, params, hyper.noise, batches, task.devices)
        for batches in sets
    )
    assert test is not None
    return test, validation


def take_over(
    run: RunState, state: TrainState, losses: Array, measured: Measured, validated: Measured | None
) -> tuple[RunState, Record]:
    """Take over the result of an epoch if all its numbers are finite; returns them, too."""
    record: Record = {"train_loss": jnp.mean(losses)} | measured.means
    best = None
    if validated is not None:
        record |= {f"validation_{name}": value for name, value in validated.means.items()}
    finite = jnp.all(jnp.isfinite(jnp.stack(list(record.values()))))
    record |= {"spread": measured.spread}

    def choose(condition: Array, new: Any, old: Any) -> Any:
        return jax.tree.map(lambda *each: jnp.where(condition, *each), new, old)

    if run.best is not None and validated is not None:
        score = metrics.rank_score(validated.means)
        best = choose(finite & (score > run.best.score), Best(state, jnp.float32(score)), run.best)
    state, measured = choose(finite, (state, measured), (run.state, run.measured))
    return RunState(state, measured, best, ~finite), record


def train_and_test(
    task: Task, hyper: Hyperparameters, run: RunState, images: Images | ImageRows, sets: ImageSets
) -> tuple[RunState, Record]:
    """Train for one epoch, test, and take over the result."""
    state, losses = train_epoch(task, hyper, run.state, images)
    return take_over(run, state, losses, *measure_sets(task, hyper, state.params, sets))


def train_epochs_until(
    task: Task,
    hyper: Hyperparameters,
    run: RunState,
    images: Images | ImageRows,
    sets: ImageSets,
    count: Int32[ArrayLike, ""],
    patience: Int32[ArrayLike, ""],
) -> tuple[RunState, Record, Int32[Array, ""]]:
    """Train for `count` epochs, at most `MOST`, or until one diverges or `patience` ends.

    The compiler sees a single epoch, so the number of epochs in a call changes no bit.

    Returns:
        The run state; the numbers of each epoch, [MOST]; how many epochs there are, the one that diverged included.
    """
    names = ["train_loss", *run.measured.means, "spread"]
    names += [f"validation_{name}" for name in run.measured.means if sets.validation is not None]

    def goes_on(carry: tuple) -> Array:
        run, _, number = carry
        return (number < count) & ~run.diverged & (epochs_since_best(task, run, images.count) < patience)

    def epoch(carry: tuple) -> tuple:
        run, records, number = carry
        run, record = train_and_test(task, hyper, run, images, sets)
        return run, {name: records[name].at[number].set(record[name]) for name in names}, number + 1

    return lax.while_loop(goes_on, epoch, (run, {name: jnp.zeros(MOST) for name in names}, jnp.int32(0)))


def epochs_since_best(task: Task, run: RunState, count: int) -> Int32[Array, "..."]:
    """Return how many epochs on `count` images came after the best one; 0 without a validation part."""
    if run.best is None:
        return jnp.zeros_like(run.state.step)
    return (run.state.step - run.best.state.step) // steps_per_epoch(count, task.batch_size)


def run(
    task: Task, hyper: Hyperparameters, state: TrainState, train: Images, test: Images, epochs: int
) -> tuple[TrainState, dict[str, Float[Array, " epochs"]]]:
    """Train, and test after each epoch: a pure function, for `jax.jit`, and for `jax.vmap` over `hyper` and `state`.

    Args:
        task: see `Task`.
        hyper: the run's hyperparameters.
        state: the initial state, as from `init`.
        train: uint8 images to train on.
        test: uint8 images to test on.
        epochs: how many.

    Returns:
        The last state, and for each epoch the training loss and the mean of each metric. An epoch with a number that
        is not finite is left out of the state, and the next goes on from the state before it.
    """
    train, test = jax.tree.map(jnp.asarray, (train, test))
    sets = ImageSets(batch_images(test))

    def epoch(run: RunState, _: None) -> tuple[RunState, Record]:
        return train_and_test(task, hyper, run, train, sets)

    last, history = lax.scan(epoch, start_run(task, hyper, state, sets.test.size), length=epochs)
    return last.state, history
