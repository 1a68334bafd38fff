"""The history of a run: the metrics of each epoch, tested and written as they come."""

import math

from jaxtyping import PyTree

from jaxae.errors import UserError
from jaxae.experiments.resolving import ResolvedRun
from jaxae.runs import directory, tensorboard
from jaxae.runs.scores import Scores, score
from jaxae.training import Epoch, distributed


class History:
    """The epochs of a run so far.

    Attributes:
        resolved: the run.
        records: the metrics of each epoch, as in its `metrics.jsonl`.
    """

    def __init__(self, resolved: ResolvedRun, done: int):
        """Continue after `done` epochs: later ones, whose checkpoint was not finished, are dropped."""
        self.resolved = resolved
        self.records = [record for record in directory.read_history(resolved.run_dir) if record["epoch"] <= done]

    def add(self, epoch: Epoch, loss: float, params: PyTree, trained: int) -> Scores:
        """Add an epoch that trained on `trained` images and led to `params`; returns the scores of the test images.

        Raises:
            UserError: if a metric is not finite; the epoch is not added.
        """
        resolved, model = self.resolved, self.resolved.task.model
        scores = score(model, params, resolved.test)
        record = {"epoch": epoch.number, "train_loss": loss} | scores.means()
        if resolved.validation is not None:
            validated = score(model, params, resolved.validation).means()
            record |= {f"validation_{name}": value for name, value in validated.items()}
        record |= {"images_per_second": trained / epoch.seconds, "compile_seconds": epoch.compile_seconds}
        for name, value in record.items():
            if not math.isfinite(value):
                kept = "holds the state before it" if self.records else "holds no state"
                raise UserError(
                    f"{name.replace('_', ' ')} is {value} in epoch {epoch.number}: the run stopped, {resolved.run_dir} "
                    f"{kept}; try a lower `learning_rate`"
                )
        self.records.append(record)
        if distributed.is_first():
            directory.write_history(resolved.run_dir, self.records)
            if resolved.launch.log.tensorboard:
                image = tensorboard.draw_samples(model, params, resolved.test)
                tensorboard.log_epoch(resolved.run_dir, self.records, image)
        return scores
