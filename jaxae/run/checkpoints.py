"""Checkpoints of a run, by Orbax: written in the background, each with digests of all that is restored from it.

The latest two and the best are kept, so that there is one to fall back on where the latest is damaged.
"""

import contextlib
import hashlib
import json
import shutil
import warnings
from pathlib import Path
from typing import Any, Literal

import jax
from jaxtyping import PyTree
from orbax.checkpoint.experimental import v1
from orbax.checkpoint.experimental.v1 import training

from jaxae import files
from jaxae.errors import UserError
from jaxae.run import host_arrays
from jaxae.run.digest import digest
from jaxae.run.orbax_errors import explained, report_once
from jaxae.training import TrainState

Choice = Literal["latest", "best"]


class Checkpoints:
    """The checkpoints in a run's directory, one after each epoch that was saved; use it as a context manager."""

    def __init__(self, run_dir: Path, read_only: bool = False):
        """Open ``run_dir/checkpoints``, made where it is missing; `read_only` changes nothing there."""
        report_once()
        self.directory = (run_dir / "checkpoints").resolve()
        self._merits: dict[int, float] = {}
        self._saving: tuple[int, Any] | None = None  # the epoch whose checkpoint is on its way to the disk, and its end
        try:
            self._checkpointer = training.Checkpointer(
                self.directory,
                save_decision_policy=training.save_decision_policies.FixedIntervalPolicy(1),
                preservation_policy=training.preservation_policies.AnyPreservationPolicy(
                    [training.preservation_policies.LatestN(2), _Best(self)]
                ),
                cleanup_tmp_directories=not read_only,  # what a killed run was writing
            )
        except Exception as error:  # Orbax reads what it keeps of each checkpoint, and raises what it likes
            self._name_unreadable(error)
            raise

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type | None, *_: Any) -> None:
        """Wait for the save under way, if any; an error that is on its way out counts more than one of the save."""
        with contextlib.suppress(Exception) if kind else contextlib.nullcontext():
            self.wait()
        with contextlib.suppress(Exception) if kind else explained(f"a checkpoint in {self.directory}"):
            self._checkpointer.close()

    def _name_unreadable(self, error: Exception) -> None:
        """Raise UserError for the first checkpoint that Orbax cannot even list, if there is one."""
        for place in sorted(path for path in self.directory.glob("*") if path.name.isdecimal()):
            try:
                v1.checkpointables_metadata(place)
            except Exception:
                raise UserError(
                    f"checkpoint {place.name} in {self.directory} is damaged: its record cannot be read; rename it to "
                    f"{place.name}.damaged, and the one before it is used"
                ) from error

    @property
    def epochs(self) -> list[int]:
        """The epochs there are checkpoints of, in order; whether they are intact shows when they are restored."""
        return sorted(checkpoint.step for checkpoint in self._checkpointer.checkpoints)

    @property
    def best_epoch(self) -> int | None:
        """The epoch of the highest merit of those kept."""
        return max(self.epochs, key=self._merit_of, default=None)

    def save(self, epoch: int, state: TrainState, merit: float) -> None:
        """Save `state` as it is after `epoch`, once the one before is on disk; returns before this one is.

        merit: the higher the better, such as the test PSNR.
        Errors are UserErrors, see `wait`.
        """
        content = host_arrays.fetch(_content(state))  # the next epoch consumes the original while this is being written
        digests = {name: digest(part) for name, part in content.items()}
        with explained(f"the checkpoint of epoch {epoch} or the one before, in {self.directory}"):
            self._complete()
            end = self._checkpointer.save_checkpointables_async(
                epoch, _stored(content), custom_metadata=_record(digests, merit)
            )
        self._merits[epoch], self._saving = merit, (epoch, end)

    def wait(self) -> None:
        """Return when the save under way, if any, is on disk. Raises UserError where it cannot be written."""
        with explained(f"a checkpoint in {self.directory}"):
            self._complete()

    def _complete(self) -> None:
        """Wait for the save under way, and have the system write its names to the disk: Orbax leaves that to chance."""
        self._checkpointer.wait()
        if self._saving is None:
            return
        epoch, end = self._saving
        self._saving = None
        end.result()  # or the thread that awaits the save would stay, and every epoch add another
        if jax.process_index() == 0:
            files.sync_tree(self.directory / str(epoch))
            files.sync(self.directory)
        if epoch % 50 == 0:
            host_arrays.return_freed()

    def restore(self, epoch: int, like: TrainState) -> TrainState:
        """The state after `epoch`, on the devices and with the types of `like`. Raises UserError if it is damaged."""
        loaded = self._load(epoch, _content(like))
        return TrainState(loaded["rest"]["step"], loaded["params"], loaded["rest"]["opt_state"])

    def restore_params(self, epoch: int, like: PyTree) -> PyTree:
        """The parameters after `epoch` alone, whatever they were trained with and on."""
        return self._load(epoch, {"params": like})["params"]

    def restore_latest(self, like: TrainState) -> TrainState:
        """The state of the latest checkpoint that is intact, to go on from; `like` itself where there is none yet.

        Checkpoints after it are damaged: a warning names them, and they are put aside, out of the way of the epochs to
        come. Raises UserError where every one is damaged.
        """
        if not self.epochs:
            return like
        damaged, epoch, state = self._first_intact(self.epochs[::-1], lambda epoch: self.restore(epoch, like))
        if damaged:
            _warn(damaged, f"going on from checkpoint {epoch}")
            self._put_aside([epoch for epoch, _ in damaged])
        return state

    def restore_chosen(self, choice: Choice, like: PyTree) -> tuple[int, PyTree]:
        """The epoch and the parameters of the latest or the best checkpoint; of the next one where it is damaged.

        A warning says so then. Raises UserError where every one is damaged.
        """
        order = sorted(self.epochs, key=(lambda epoch: epoch) if choice == "latest" else self._merit_of, reverse=True)
        damaged, epoch, params = self._first_intact(order, lambda epoch: self.restore_params(epoch, like))
        if damaged:
            _warn(damaged, f"using checkpoint {epoch} in its place")
        return epoch, params

    def _first_intact(self, order: list[int], restore: Any) -> tuple[list[tuple[int, UserError]], int, Any]:
        damaged: list[tuple[int, UserError]] = []
        for epoch in order:
            try:
                return damaged, epoch, restore(epoch)
            except UserError as error:
                damaged.append((epoch, error))
        said = "; ".join(str(error) for _, error in damaged)
        raise UserError(f"{said}; no intact checkpoint is left: train again in another --run-dir") from damaged[0][1]

    def _put_aside(self, epochs: list[int]) -> None:
        if jax.process_index() == 0:
            for epoch in epochs:
                aside = self.directory / f"{epoch}.damaged"
                shutil.rmtree(aside, ignore_errors=True)
                (self.directory / str(epoch)).rename(aside)
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices("damaged checkpoints are out of the way")
        self._checkpointer.reload()

    def _merit_of(self, epoch: int) -> float:
        """The merit that `epoch` was saved with; that of a damaged checkpoint is below any."""
        if epoch not in self._merits:
            try:
                self._merits[epoch] = self._recorded(epoch)["merit"]
            except Exception:  # Orbax raises what it likes on a damaged file
                self._merits[epoch] = float("-inf")
        return self._merits[epoch]

    def _recorded(self, epoch: int) -> dict[str, Any]:
        """What `_record` gave when `epoch` was saved. Raises where it is not that any more."""
        record = self._checkpointer.checkpointables_metadata(epoch).custom_metadata
        if _record({name: record[f"{name}_digest"] for name in ("params", "rest")}, record["merit"]) != record:
            raise ValueError("its record is not what was written")
        return record

    def _load(self, epoch: int, like: dict[str, Any]) -> dict[str, Any]:
        """The parts of `_content` that are in `like`, where that lies."""
        where, stored = f"checkpoint {epoch} in {self.directory}", _stored(host_arrays.empty(like))
        try:
            loaded = self._checkpointer.load_checkpointables(epoch, stored)
            recorded = self._recorded(epoch)
            if host_arrays.shapes(loaded) != host_arrays.shapes(stored):  # of which Orbax says nothing
                raise ValueError("its arrays have other shapes")
        except Exception as error:  # Orbax and TensorStore raise what they like on a damaged file
            raise UserError(f"{where} cannot be read, damaged or of another network") from error
        if "rest" in loaded:
            loaded["rest"] = host_arrays.unpack(loaded["rest"]["bytes"], like["rest"])
        for name, part in loaded.items():
            if digest(part) != recorded[f"{name}_digest"]:
                what = "parameters are" if name == "params" else "step or optimizer state is"
                raise UserError(f"{where} is damaged: its {what} not what was saved")
        return host_arrays.place(loaded, like)


class _Best(training.preservation_policies.PreservationPolicy):
    """Keep the checkpoint of the highest merit."""

    def __init__(self, checkpoints: Checkpoints):
        self._checkpoints = checkpoints

    def should_preserve(self, checkpoints: Any, *, context: Any) -> list[bool]:
        best = max((checkpoint.step for checkpoint in checkpoints), key=self._checkpoints._merit_of, default=None)
        return [checkpoint.step == best for checkpoint in checkpoints]


def _record(digests: dict[str, str], merit: float) -> dict[str, Any]:
    """What is kept with a checkpoint to tell whether it is intact, the record itself included."""
    record: dict[str, Any] = {f"{name}_digest": value for name, value in digests.items()} | {"merit": merit}
    return record | {"record_digest": hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()}


def _warn(damaged: list[tuple[int, UserError]], remedy: str) -> None:
    warnings.warn("; ".join(str(error) for _, error in damaged) + f"; {remedy}", stacklevel=3)


def _content(state: TrainState) -> dict[str, Any]:
    """The parts of a checkpoint: what every user of a network needs, and what only training does."""
    return {"params": state.params, "rest": {"step": state.step, "opt_state": state.opt_state}}


def _stored(content: dict[str, Any]) -> dict[str, Any]:
    """`content`, in NumPy, as Orbax gets it: the rest as one array, since each costs time and memory of its own."""
    return content | ({"rest": {"bytes": host_arrays.pack(content["rest"])}} if "rest" in content else {})
