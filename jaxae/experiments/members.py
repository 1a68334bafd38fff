"""The members of a sweep, trained as an ensemble and written as runs of their own.

The sweep's own `checkpoints/` hold the state of all members; a member that diverges keeps its last good one. Each
member's history is written with it. At the end each gets a checkpoint of its own.
"""

import functools
from pathlib import Path

import jax
import numpy as np

from jaxae.command.progress import Progress
from jaxae.errors import UserError
from jaxae.experiments.history import History, list_records
from jaxae.experiments.resolving import ResolvedRun
from jaxae.experiments.saving import Saver
from jaxae.runs import directory
from jaxae.runs.checkpoints import Checkpoints
from jaxae.runs.scores import Scores, score, validation_score
from jaxae.training import Loop, RunState, TrainState, ensemble, epochs_done, steps_per_epoch
from jaxae.training.loop import CALL_SECONDS


class Member(History):
    """A run of a sweep, and its result.

    Attributes:
        state: after its last good epoch.
        scores: of the test images then.
    """

    state: TrainState
    scores: Scores

    def __init__(self, resolved: ResolvedRun, done: int):
        """Continue after `done` epochs of the sweep."""
        super().__init__(resolved, done)
        if self.count < done:
            self.problem = f"it diverged in epoch {self.count + 1}"

    def save(self) -> None:
        """Write a checkpoint of the member's own, unless it has one or has never had a good epoch."""
        if self.last is None:
            return
        run_dir = self.resolved.run_dir
        with directory.locked_run(run_dir), Checkpoints(run_dir) as checkpoints:
            if self.last["epoch"] not in checkpoints.epochs:
                checkpoints.save(self.last["epoch"], self.state, validation_score(self.last))


def train_members(runs: list[ResolvedRun], folder: Path, progress: Progress) -> list[Member]:
    """Train all `runs` in one program, from the latest checkpoint of the sweep in `folder` if there is one.

    All of them train on the images of the first, and are validated on its validation part.
    """
    first = runs[0]
    task, launch, epochs = first.task, first.launch, first.config.train.epochs or 0
    if first.streamed:
        raise UserError("a sweep needs images on the device: use `placement` device, and `data.limit`")
    images = ensemble.EnsembleImages(first.train, len(runs))
    hyper = ensemble.stack([run.hyper for run in runs])
    single = [jax.device_get(run.initial_state()) for run in runs]
    states = jax.tree.map(lambda *leaves: np.stack(leaves), *single)
    with Checkpoints(folder) as checkpoints, Saver(checkpoints, launch.checkpoint_seconds) as saver:
        states = checkpoints.restore_latest(jax.tree.map(jax.numpy.asarray, states))
        done = epochs_done(task, states, len(images))
        members = [Member(run, done) for run in runs]
        if done:
            progress.say(f"continuing after epoch {done}")
        trained = steps_per_epoch(len(images), task.batch_size) * task.batch_size * len(runs)
        validation = None if first.validation is None else first.validation.images
        call_seconds = min(CALL_SECONDS, launch.checkpoint_seconds)
        loop = Loop(task, hyper, states, images, first.test.images, validation, call_seconds=call_seconds)
        run: RunState | None = None
        for call in loop.calls(done, epochs):
            run = call.run
            added: dict[int, list[dict]] = {}  # the records of each epoch
            for number, member in enumerate(members):
                of_member = functools.partial(jax.tree.map, lambda leaf, at=number: leaf[at], run.state.params)
                for record in member.add(list_records(call, done, trained, number), of_member):
                    added.setdefault(record["epoch"], []).append(record)
            for records in added.values():
                means = {name: float(np.mean([each[name] for each in records])) for name in records[0]}
                progress.show_epoch(means | {"epoch": records[0]["epoch"]})
            done += len(added)
            saver.offer(call.seconds * len(added), lambda run=run, done=done: [(done, loop.fetch(run.state), None)])
    _set_results(members, loop, run)
    for member in members:
        member.save()
    return members


def _set_results(members: list[Member], loop: Loop, run: RunState | None) -> None:
    """Give each member its state and its scores, in the order of the run state; without one, of the loop's start."""
    states, measured = loop.fetch(((run or loop.run).state, (run or loop.run).measured))
    for number, member in enumerate(members):
        member.state, values = jax.tree.map(lambda leaf, at=number: leaf[at], (states, measured.values))
        count, test = member.resolved.test.images.count, member.resolved.test
        if run is None:
            member.scores = score(member.resolved.task.model, member.state.params, test)
        else:
            member.scores = Scores(
                {name: each[:count] for name, each in values.items()}, float(measured.spread[number])
            )
