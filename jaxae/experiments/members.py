"""The members of a sweep, trained together and written as runs of their own.

The sweep's own `checkpoints/` hold the state of all members after an epoch; each member's history is written with it.
A member that diverges is left as it was before, with a checkpoint of its own; the others get theirs at the end.
"""

import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxae.command.progress import Progress
from jaxae.data.stream import Stream
from jaxae.errors import UserError
from jaxae.experiments.plan import Plan
from jaxae.run import directory, tensorboard
from jaxae.run.checkpoints import Checkpoints
from jaxae.run.scores import Losses, Scores, merit, score
from jaxae.training import TrainState, epochs_done, fit, population, steps_per_epoch


class Member:
    """A run of a sweep, and how far it has come."""

    def __init__(self, plan: Plan, done: int):
        """`done`: the epochs of the sweep that are behind."""
        self.plan = plan
        self.history = [record for record in directory.read_history(plan.launch.run_dir) if record["epoch"] <= done]
        self.state: TrainState | None = None  # after its last good epoch
        self.scores: Scores | Losses | None = None  # then
        self.diverged: str | None = None  # why it is left out
        if len(self.history) < done:
            self._diverge(len(self.history) + 1)

    def _diverge(self, epoch: int) -> None:
        self.diverged = f"its training or test error is not finite in epoch {epoch}"

    def take(self, epoch: int, state: TrainState, loss: float, speed: dict[str, float]) -> None:
        """Take in an epoch; one whose metrics are not finite leaves the member as it was before."""
        scores = self.test(state)
        record = {"epoch": epoch, "train_mse": loss} | scores.means() | speed
        if not all(math.isfinite(value) for value in record.values()):
            self._diverge(epoch)
            self.save()
            return
        self.history.append(record)
        self.state, self.scores = state, scores
        directory.write_history(self.plan.launch.run_dir, self.history)
        if self.plan.launch.log.tensorboard:
            with tensorboard.Log(self.plan.launch.run_dir, self.history[:-1]) as log:
                log.write(record, tensorboard.picture(self.plan.task.model, state.params, self.plan.test))

    def test(self, state: TrainState) -> Scores | Losses:
        """The scores of the member's test images."""
        return score(self.plan.task.model, state.params, self.plan.test)

    def save(self) -> None:
        """Write a checkpoint of the member's own, unless it has one or has never had a good epoch."""
        if self.state is None:
            return
        run_dir, last = self.plan.launch.run_dir, self.history[-1]
        with directory.locked(run_dir), Checkpoints(run_dir) as checkpoints:
            if last["epoch"] not in checkpoints.epochs:
                checkpoints.save(last["epoch"], self.state, merit(last))


def train_members(plans: list[Plan], folder: Path, progress: Progress) -> list[Member]:
    """Train all `plans` in one program, from the latest checkpoint of the sweep in `folder` if there is one."""
    task, epochs = plans[0].task, plans[0].config.train.epochs
    if isinstance(plans[0].train_images, Stream):
        raise UserError("a sweep trains on images on the device: use --data.placement device, and --data.limit")
    images = population.PopulationImages(plans[0].train_images)
    hyper = population.stack([plan.hyper for plan in plans])
    lone = [jax.device_get(plan.initial_state()) for plan in plans]
    states = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *lone)
    with Checkpoints(folder) as checkpoints:
        states = checkpoints.restore_latest(states)
        done = epochs_done(task, states, len(images))
        members = [Member(plan, done) for plan in plans]
        if done:
            progress.say(f"going on after epoch {done}")
            _hand_out(members, jax.device_get(states))
        trained = steps_per_epoch(len(images), task.batch_size) * task.batch_size * len(plans)
        for epoch in fit(task, hyper, states, images, epochs):
            speed = {"images_per_second": trained / epoch.seconds, "compile_seconds": epoch.compile_seconds}
            losses, states = np.asarray(epoch.losses.mean(axis=1)), jax.device_get(epoch.state)
            for number, member in enumerate(members):
                if not member.diverged:
                    member.take(epoch.number, _of(states, number), float(losses[number]), speed)
            last = [member.history[-1] for member in members if not member.diverged]
            if not last:
                break
            means = _means(last)
            checkpoints.save(epoch.number, epoch.state, merit(means))
            progress.epoch(means)
    for member in members:
        if not member.diverged:
            member.save()
    return members


def _hand_out(members: list[Member], states: TrainState) -> None:
    for number, member in enumerate(members):
        if not member.diverged:
            member.state = _of(states, number)
            member.scores = member.test(member.state)


def _of(states: TrainState, number: int) -> TrainState:
    return jax.tree.map(lambda leaf: np.asarray(leaf[number]), states)


def _means(records: list[dict[str, Any]]) -> dict[str, Any]:
    means = {name: float(np.mean([record[name] for record in records])) for name in records[0]}
    return means | {"epoch": records[0]["epoch"]}
