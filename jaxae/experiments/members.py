"""The members of a sweep, trained as an ensemble and written as runs of their own.

The sweep's own `checkpoints/` hold the state of all members after an epoch, and each member's history is written with
it. A member that diverges keeps its last good state, with a checkpoint of its own; the others get theirs at the end.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxae.command import stopping
from jaxae.command.progress import Progress
from jaxae.errors import UserError
from jaxae.experiments.history import History
from jaxae.experiments.resolving import ResolvedRun
from jaxae.runs import directory
from jaxae.runs.checkpoints import Checkpoints
from jaxae.runs.scores import Scores, score, validation_score
from jaxae.training import TrainState, ensemble, epochs_done, steps_per_epoch, train_epochs


class Member(History):
    """A run of a sweep, and its progress.

    Attributes:
        state: after its last good epoch.
        scores: of the test images then.
        diverged: why it is left out, if it is.
    """

    def __init__(self, resolved: ResolvedRun, done: int):
        """Continue after `done` epochs of the sweep."""
        super().__init__(resolved, done)
        self.state: TrainState | None = None
        self.scores: Scores | None = None
        self.diverged = f"it diverged in epoch {len(self.records) + 1}" if len(self.records) < done else None

    def save(self) -> None:
        """Write a checkpoint of the member's own, unless it has one or has never had a good epoch."""
        if self.state is None:
            return
        run_dir, last = self.resolved.run_dir, self.records[-1]
        with directory.locked_run(run_dir), Checkpoints(run_dir) as checkpoints:
            if last["epoch"] not in checkpoints.epochs:
                checkpoints.save(last["epoch"], self.state, validation_score(last))


def train_members(runs: list[ResolvedRun], folder: Path, progress: Progress) -> list[Member]:
    """Train all `runs` in one program, from the latest checkpoint of the sweep in `folder` if there is one."""
    task, epochs = runs[0].task, runs[0].config.train.epochs or 0
    if runs[0].streamed:
        raise UserError("a sweep needs images on the device: use `placement` device, and `data.limit`")
    images = ensemble.EnsembleImages(runs[0].train)
    hyper = ensemble.stack([run.hyper for run in runs])
    single = [jax.device_get(run.initial_state()) for run in runs]
    states = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *single)
    with Checkpoints(folder) as checkpoints:
        states = checkpoints.restore_latest(states)
        done = epochs_done(task, states, len(images))
        members = [Member(run, done) for run in runs]
        if done:
            progress.say(f"continuing after epoch {done}")
            for member, state in _unstack(members, states):
                member.state, member.scores = state, score(task.model, state.params, member.resolved.test)
        trained = steps_per_epoch(len(images), task.batch_size) * task.batch_size * len(runs)
        for epoch in train_epochs(task, hyper, states, images, epochs):
            losses = dict(zip(members, np.asarray(epoch.losses.mean(axis=1)), strict=True))
            for member, state in _unstack(members, epoch.state):
                try:
                    member.scores = member.add(epoch, float(losses[member]), state.params, trained)
                    member.state = state
                except UserError as error:
                    member.diverged = str(error)
                    member.save()
            last = [member.records[-1] for member in members if not member.diverged]
            if not last:
                break
            means = {name: float(np.mean([record[name] for record in last])) for name in last[0]}
            means["epoch"] = epoch.number
            checkpoints.save(epoch.number, epoch.state, validation_score(means))
            progress.show_epoch(means)
            stopping.check()
    for member in members:
        if not member.diverged:
            member.save()
    return members


def _unstack(members: list[Member], states: TrainState) -> list[tuple[Member, TrainState]]:
    """The members that have not diverged, each with its own state."""
    states = jax.device_get(states)
    return [
        (member, jax.tree.map(lambda leaf, number=number: np.asarray(leaf[number]), states))
        for number, member in enumerate(members)
        if not member.diverged
    ]
