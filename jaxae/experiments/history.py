"""The history of a run: the metrics of each epoch, appended as they come."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import PyTree

from jaxae import metrics
from jaxae.errors import UserError
from jaxae.experiments.resolving import ResolvedRun
from jaxae.runs import directory, tensorboard
from jaxae.training import Call, distributed


class History:
    """The epochs of a run so far.

    Attributes:
        resolved: the run.
        count: how many there are.
        last: the metrics of the last one, as in the run's `metrics.jsonl`; None before the first.
        problem: why the run cannot go on, if an epoch had a number that is not finite.
    """

    def __init__(self, resolved: ResolvedRun, done: int):
        """Continue after `done` epochs: later ones, which came after the checkpoint, are dropped."""
        self.resolved = resolved
        before = directory.read_history(resolved.run_dir)
        records = [record for record in before if record["epoch"] <= done]
        self.count, self.last = len(records), records[-1] if records else None
        self.problem: str | None = None
        if distributed.is_first() and (resolved.run_dir / directory.HISTORY).exists():
            directory.write_history(resolved.run_dir, records)
            if resolved.launch.log.tensorboard and records and not tensorboard.is_logged(resolved.run_dir):
                tensorboard.log_epochs(resolved.run_dir, records)

    def add(self, records: list[dict[str, Any]], params: Callable[[], PyTree]) -> list[dict[str, Any]]:
        """Append epochs; returns them without one that has a number that is not finite, which is the `problem`.

        Args:
            records: see `list_records`.
            params: returns what the last good one led to.
        """
        good = [record for record in records if all(map(math.isfinite, record.values()))]
        if good:
            self.count, self.last = self.count + len(good), good[-1]
        if good and distributed.is_first():
            directory.append_history(self.resolved.run_dir, good)
            if self.resolved.launch.log.tensorboard:
                image = tensorboard.draw_samples(self.resolved.task.model, params(), self.resolved.test)
                tensorboard.log_epochs(self.resolved.run_dir, good, image)
        for record in records[len(good) :]:
            name, value = next(item for item in record.items() if not math.isfinite(item[1]))
            kept = "holds the state before it" if self.last else "holds no state"
            self.problem = (
                f"{name.replace('_', ' ')} is {value} in epoch {record['epoch']}: the run stopped, "
                f"{self.resolved.run_dir} {kept}; try a lower `learning_rate`"
            )
        return good

    def check(self) -> None:
        """Raise the `problem`, if there is one, as UserError."""
        if self.problem is not None:
            raise UserError(self.problem)


def list_records(call: Call, done: int, trained: int, member: Any = ()) -> list[dict[str, Any]]:
    """Return the metrics of each epoch of a call, as in `metrics.jsonl`.

    Args:
        call: its result.
        done: the epochs before it.
        trained: the images that an epoch trains on.
        member: the number of a member of an ensemble.
    """
    names = ["train_loss", *metrics.METRICS, *(f"validation_{name}" for name in metrics.METRICS)]
    count = int(call.epochs[member])
    columns = {name: call.records[name][member][:count].tolist() for name in names if name in call.records}
    return [
        {"epoch": done + 1 + row}
        | {name: column[row] for name, column in columns.items()}
        | {"images_per_second": trained / call.seconds, "compile_seconds": 0.0 if row else call.compile_seconds}
        for row in range(count)
    ]


def list_spreads(call: Call) -> list[float]:
    """Return the spread of the outputs after each epoch of a call."""
    return np.atleast_1d(call.records["spread"])[: int(call.epochs)].tolist()
