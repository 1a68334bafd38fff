"""Checkpoints of a run, by Orbax: written in the background, each with digests of everything that is restored from it.

The latest two are kept, so that there is one to fall back on if the latest is damaged; with a validation part also the
best one up to each of them.
"""

import contextlib
import hashlib
import json
import shutil
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, cast

from jaxtyping import PyTree
from orbax.checkpoint.experimental import v1

from jaxae import files
from jaxae.errors import UserError
from jaxae.runs import host_arrays
from jaxae.runs.digest import tree_digest
from jaxae.training import TrainState, distributed

Choice = Literal["latest", "best"]
UNFINISHED = ".orbax-checkpoint-tmp"
NO_SCORE = float("-inf")
SHORT = {
    "No space left": "no space left on device",
    "Disk quota": "disk quota exceeded",
    "File too large": "a limit on the size of files is reached",
}


def saved_epochs(run_dir: Path) -> list[int]:
    """Return the epochs with checkpoints, in order; whether one is intact shows when it is restored."""
    return sorted(int(path.name) for path in (run_dir / "checkpoints").glob("[0-9]*") if path.name.isdecimal())


class Checkpoints:
    """The checkpoints in a run's directory, one for each epoch that was saved; a context manager."""

    def __init__(self, run_dir: Path, read_only: bool = False):
        """Open ``run_dir/checkpoints``, created if it is missing; `read_only` changes nothing there."""
        self.directory = (run_dir / "checkpoints").resolve()
        self._scores: dict[int, float] = {}
        self._saving: Future | None = None  # the save under way
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._count = 0  # of saves
        if not read_only and distributed.is_first():
            self.directory.mkdir(parents=True, exist_ok=True)
            for leftover in self.directory.glob(f"*{UNFINISHED}*"):  # of a killed run
                shutil.rmtree(leftover, ignore_errors=True)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        """Wait for the save under way, if any, unless a signal stops the process; an error raised takes precedence."""
        self._thread.shutdown(wait=False)
        if kind is None or not issubclass(kind, KeyboardInterrupt):
            with contextlib.suppress(Exception) if kind else contextlib.nullcontext():
                self.wait()

    @property
    def epochs(self) -> list[int]:
        """The epochs with checkpoints, in order."""
        return saved_epochs(self.directory.parent)

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the highest validation score of those kept; None if none has one."""
        return next(iter(self._ranked(max(self.epochs, default=0))), None)

    def save(self, epoch: int, state: TrainState, score: float | None = None) -> None:
        """Start to save `state` as it is after `epoch`; returns before it is on disk.

        Args:
            epoch: the number of the epoch.
            state: the state, which may be consumed meanwhile.
            score: the validation score, the higher the better; None without a validation part.

        Raises:
            UserError: see `wait`, also for the save before, which must be on disk first.
        """
        content = host_arrays.fetch(_content(state))
        digests = {name: tree_digest(part) for name, part in content.items()}
        self.wait()
        with _explained(f"the checkpoint of epoch {epoch} in {self.directory}"):
            future = v1.save_checkpointables_async(
                str(self.directory / str(epoch)), _stored(content), custom_metadata=_record(digests, score)
            )
        self._scores[epoch] = NO_SCORE if score is None else score
        self._count += 1
        self._saving = self._thread.submit(self._finish, epoch, future)

    def wait(self, timeout: float | None = None) -> None:
        """Return when the save under way, if any, is on disk.

        Raises:
            UserError: if it cannot be written.
            TimeoutError: if it takes longer than `timeout` seconds.
        """
        if self._saving is not None:
            error = self._saving.exception(timeout)
            self._saving = None
            if error is not None:
                raise error

    def _finish(self, epoch: int, future: Any) -> None:
        """Complete a save, sync its directories, which Orbax does not, and remove what is no longer kept."""
        with _explained(f"the checkpoint of epoch {epoch} in {self.directory}"):
            future.result()  # else every save would leave a thread behind
            if distributed.is_first():
                files.sync_tree(self.directory / str(epoch))
                files.sync(self.directory)
                for old in set(self.epochs) - self._kept():
                    aside = self.directory / f"{old}{UNFINISHED}"  # so that a part is never taken for a checkpoint
                    (self.directory / str(old)).rename(aside)
                    shutil.rmtree(aside, ignore_errors=True)
        if self._count % 50 == 0:
            host_arrays.return_freed()

    def _kept(self) -> set[int]:
        epochs = self.epochs
        return {kept for last in epochs[-2:] for kept in (last, *self._ranked(last)[:1])}

    def _ranked(self, last: int) -> list[int]:
        """The epochs up to `last` that have a score, the best first, the earlier of equals."""
        scored = [epoch for epoch in self.epochs if epoch <= last and self._score(epoch) != NO_SCORE]
        return sorted(scored, key=self._score, reverse=True)

    def restore(self, epoch: int, like: TrainState) -> TrainState:
        """Return the state after `epoch`, with the devices and types of `like`; UserError if it is damaged."""
        loaded = self._load(epoch, _content(like))
        return TrainState(loaded["rest"]["step"], loaded["params"], loaded["rest"]["opt_state"])

    def restore_params(self, epoch: int, like: PyTree) -> PyTree:
        """Return only the parameters after `epoch`, whatever optimizer and devices they were trained with."""
        return self._load(epoch, {"params": like})["params"]

    def restore_latest(self, like: TrainState) -> TrainState:
        """Return the state of the latest intact checkpoint, or `like` itself if there is no checkpoint yet.

        Later ones, which are damaged, are renamed so that training can save these epochs again, with a warning.

        Raises:
            UserError: if every checkpoint is damaged.
        """
        if not self.epochs:
            return like
        damaged, _, state = self._first_intact(
            self.epochs[::-1], lambda epoch: self.restore(epoch, like), "going on from"
        )
        distributed.first_then_all(lambda: self._put_aside(damaged))
        return state

    def restore_best(self, last: int, like: TrainState) -> tuple[float, TrainState] | None:
        """Return the score and the state of the best intact checkpoint up to epoch `last`; None if none has a score."""
        ranked = self._ranked(last)
        if not ranked:
            return None
        _, epoch, state = self._first_intact(ranked, lambda epoch: self.restore(epoch, like), "the best is now")
        return self._score(epoch), state

    def restore_chosen(self, choice: Choice, like: PyTree) -> tuple[int, PyTree]:
        """Return the epoch and the parameters of a checkpoint; with a warning of the next one if it is damaged.

        Raises:
            UserError: if every checkpoint is damaged, or none is the best, since the run has no validation part.
        """
        if choice == "best" and self.best_epoch is None:
            raise UserError(
                f"no checkpoint in {self.directory} is the best: the run has no validation part (`data.validation`); "
                "take the latest"
            )
        order = sorted(self.epochs, key=self._score if choice == "best" else None, reverse=True)
        _, epoch, params = self._first_intact(order, lambda epoch: self.restore_params(epoch, like), "in its place is")
        return epoch, params

    def _first_intact(self, order: list[int], restore: Any, instead: str) -> tuple[list[int], int, Any]:
        """The damaged epochs, with a warning; the first of `order` that is not; and what `restore` returns for it."""
        errors: dict[int, str] = {}
        for epoch in order:
            try:
                found = restore(epoch)
            except UserError as error:
                errors[epoch] = str(error)
                continue
            if errors:
                warnings.warn(f"{'; '.join(errors.values())}; {instead} checkpoint {epoch}", stacklevel=3)
            return list(errors), epoch, found
        raise UserError(f"{'; '.join(errors.values())}; no intact checkpoint is left: train again in another `run_dir`")

    def _put_aside(self, epochs: list[int]) -> None:
        for epoch in epochs:
            aside = self.directory / f"{epoch}.damaged"
            shutil.rmtree(aside, ignore_errors=True)
            (self.directory / str(epoch)).rename(aside)

    def _score(self, epoch: int) -> float:
        """The score that `epoch` was saved with; minus infinity if it has none or is damaged."""
        if epoch not in self._scores:
            score = None
            with contextlib.suppress(Exception):  # Orbax raises any kind of error on a damaged file
                score = self._recorded(epoch)["score"]
            self._scores[epoch] = NO_SCORE if score is None else score
        return self._scores[epoch]

    def _recorded(self, epoch: int) -> dict[str, Any]:
        """What `_record` gave when `epoch` was saved; raises an error if it is not that any more."""
        record = cast(dict[str, Any], v1.checkpointables_metadata(str(self.directory / str(epoch))).custom_metadata)
        if _record({name: record[f"{name}_digest"] for name in ("params", "rest")}, record["score"]) != record:
            raise ValueError("its record is not what was written")
        return record

    def _load(self, epoch: int, like: dict[str, Any]) -> dict[str, Any]:
        """The parts of `_content` that are in `like`, with its devices."""
        where, stored = f"checkpoint {epoch} in {self.directory}", _stored(host_arrays.empty(like))
        try:
            loaded = v1.load_checkpointables(str(self.directory / str(epoch)), stored)
            recorded = self._recorded(epoch)
            if host_arrays.shapes(loaded) != host_arrays.shapes(stored):  # which Orbax lets pass
                raise ValueError("its arrays have other shapes")
        except Exception as error:  # Orbax and TensorStore raise any kind of error
            raise UserError(f"{where} cannot be read, damaged or of another network") from error
        if "rest" in loaded:
            loaded["rest"] = host_arrays.unpack(loaded["rest"]["bytes"], like["rest"])
        for name, part in loaded.items():
            if tree_digest(part) != recorded[f"{name}_digest"]:
                what = "parameters are" if name == "params" else "step or optimizer state is"
                raise UserError(f"{where} is damaged: its {what} not what was saved")
        return host_arrays.place(loaded, like)


def _record(digests: dict[str, str], score: float | None) -> dict[str, Any]:
    """What tells whether a checkpoint is intact, the record itself included."""
    record: dict[str, Any] = {f"{name}_digest": value for name, value in digests.items()} | {"score": score}
    return record | {"record_digest": hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()}


def _content(state: TrainState) -> dict[str, Any]:
    """The parts of a checkpoint: what every user of a network needs, and what only training needs."""
    return {"params": state.params, "rest": {"step": state.step, "opt_state": state.opt_state}}


def _stored(content: dict[str, Any]) -> dict[str, Any]:
    """`content` as Orbax gets it: the rest as one array, since every array costs time and memory."""
    return content | ({"rest": {"bytes": host_arrays.pack(content["rest"])}} if "rest" in content else {})


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Make one line of whatever Orbax and TensorStore raise when they cannot write."""
    try:
        yield
    except Exception as error:
        text = " ".join(str(error).split())
        reason = next((SHORT[sign] for sign in SHORT if sign in text), text[:200])
        raise UserError(
            f"cannot write {what}: {reason}; the last checkpoint before it is intact: make room there and add `resume`"
        ) from error
