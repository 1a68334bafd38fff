"""The loop over epochs: several short ones in a call of a program, and the next call before the last one's numbers.

While the device trains and tests, the host writes what the last call found.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from jaxae import ops
from jaxae.command import stopping
from jaxae.data.images import Images
from jaxae.training import distributed
from jaxae.training.epochs import (
    MOST,
    NO_PATIENCE,
    Best,
    ImageSets,
    Record,
    RunState,
    epochs_since_best,
    measure_sets,
    start_run,
    take_over,
    train_epochs_until,
)
from jaxae.training.sources import DeviceImages, TrainingImages
from jaxae.training.step import Hyperparameters, TrainState, epochs_done
from jaxae.training.task import Task
from jaxae.training.testing import Measured, measure_from_host, tested_objective

POLL_SECONDS = 0.001
CALL_SECONDS = 1.0  # of training in a call, unless an epoch takes longer

Program = Callable[[RunState, int], tuple[RunState, Record, Any]]


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
    """Train, without tests, until `epochs` epochs are done, including those that led to `state`; yields after each.

    With the state and images of an ensemble (see `jaxae.training.ensemble`), all its members are trained.
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


class Call(NamedTuple):
    """The result of a call.

    Attributes:
        run: the run state after it, on the device.
        records: the numbers of each epoch, by name: [epochs] or [members, epochs].
        epochs: how many of them are used, for each member of an ensemble; the last may be one that diverged.
        seconds: of each epoch.
        compile_seconds: of the program; 0 after the first call.
    """

    run: RunState
    records: dict[str, np.ndarray]
    epochs: np.ndarray
    seconds: float
    compile_seconds: float


class Loop:
    """The loop over the epochs of a run, or of the members of an ensemble at once.

    Attributes:
        run: the run state at the start.
    """

    def __init__(
        self,
        task: Task,
        hyper: Hyperparameters,
        state: TrainState,
        images: TrainingImages,
        test: Images,
        validation: Images | None = None,
        *,
        best: Best | None = None,
        patience: int | None = None,
        tests_on_device: bool = True,
        call_seconds: float = CALL_SECONDS,
    ):
        """Compile the epoch.

        Args:
            task: see `Task`.
            hyper: the hyperparameters; for an ensemble, like `state`, those of all members.
            state: where it starts.
            images: to train on.
            test: uint8 images to test on after each epoch.
            validation: uint8 images to validate on.
            best: the best state so far, if there is a validation part.
            patience: stop after so many epochs without a better one.
            tests_on_device: whether `test` and `validation` fit the device.
            call_seconds: how long a call may last, if it has more than one epoch.
        """
        self._task, self._images, self._call_seconds = task, images, call_seconds
        self._patience = np.int32(patience or NO_PATIENCE)
        self._is_ahead = isinstance(images, DeviceImages) and tests_on_device
        start = time.perf_counter()
        sets: Any = (test, validation)
        if tests_on_device:
            sets = ImageSets(images.place_test(test), None if validation is None else images.place_test(validation))
        size = sets.test.size if tests_on_device else test.count
        if validation is not None and best is None:
            best = Best(state, jnp.full(state.step.shape, -jnp.inf))
        self._hyper, self.run = images.place_run((hyper, start_run(task, hyper, state, size, best)))
        self._program = self._compile(sets) if self._is_ahead else self._compile_parts(sets)
        self._compile_seconds = time.perf_counter() - start

    def calls(self, done: int, last: int) -> Iterator[Call]:
        """Train from epoch `done` to epoch `last`, or until nothing is left to train; yields after each call."""
        run, count, compile_seconds = self.run, min(1, last - done), self._compile_seconds
        start, pending = time.perf_counter(), self._program(run, count) if self._goes_on(run) and count else None
        while pending is not None:
            run, records, used = pending
            wait(run.diverged)
            seconds = distributed.from_first((time.perf_counter() - start) / count) or 0.0
            done += count
            most = int(self._call_seconds / seconds) if self._is_ahead else 1
            count = min(last - done, max(1, most), MOST)
            goes_on = count > 0 and self._goes_on(run)
            start = time.perf_counter()
            pending = self._program(run, count) if goes_on and self._is_ahead else None
            yield Call(run, self.fetch(records), self.fetch(used), seconds, compile_seconds)
            compile_seconds = 0.0
            if goes_on and not self._is_ahead:
                start, pending = time.perf_counter(), self._program(run, count)

    def fetch(self, tree: PyTree) -> PyTree:
        """Return arrays of the run state, or of the members of an ensemble, on the host."""
        return self._images.cut(jax.device_get(tree))

    def _goes_on(self, run: RunState) -> bool:
        since_best = epochs_since_best(self._task, run, len(self._images))
        return bool(np.any(~np.asarray(run.diverged) & (np.asarray(since_best) < self._patience)))

    def _compile(self, sets: ImageSets) -> Program:
        """The program of a call, with all images on the device."""
        assert isinstance(self._images, DeviceImages)
        images = self._images.images
        arguments = (images, sets, np.int32(0), self._patience)
        program = self._images.compile_program(train_epochs_until, self._task, self._hyper, self.run, *arguments)
        return lambda run, count: program(self._hyper, run, images, sets, np.int32(count), self._patience)

    def _compile_parts(self, sets: ImageSets | tuple[Images, Images | None]) -> Program:
        """A call of one epoch in parts: with training or test images that stay on the host."""
        task, hyper = self._task, self._hyper
        train = self._images.compile(task, hyper, self.run.state)
        options = {} if task.devices is None else {"out_shardings": task.devices.replicated}
        finish, test = ops.jit(take_over, **options), ops.jit(measure_sets, task.model.backend, static_argnums=0)

        def measured(params: PyTree) -> tuple[Measured, Measured | None]:
            if isinstance(sets, ImageSets):
                return test(task, hyper, params, sets)
            here, noise = jax.device_get((params, hyper.noise))
            objective = tested_objective(task.objective, noise)
            of_test, of_validation = (
                None if each is None else measure_from_host(task.model, objective, here, noise, each) for each in sets
            )
            assert of_test is not None
            return of_test, of_validation

        def call(run: RunState, _: int) -> tuple[RunState, Record, Any]:
            state, losses = train(hyper, run.state)
            run, record = finish(run, state, losses, *measured(state.params))
            return run, jax.tree.map(lambda value: value[None], record), np.int32(1)

        return call


def wait(tree: PyTree) -> None:
    """Return when the arrays are computed; a signal ends this with `stopping.Stopped`."""
    stopping.check()
    while not all(leaf.is_ready() for leaf in jax.tree.leaves(tree)):
        time.sleep(POLL_SECONDS)
        stopping.check()
    jax.block_until_ready(tree)  # raises an error that occurred in computing them
