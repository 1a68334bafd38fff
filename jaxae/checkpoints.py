"""Checkpoints of a run, by Orbax: saved in the background, the latest and the best kept."""

import functools
import logging
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree
from orbax.checkpoint.experimental.v1 import training

from jaxae.digest import digest
from jaxae.errors import UserError
from jaxae.train import TrainState


class Checkpoints:
    """The checkpoints in a run's directory, one after each epoch that was saved; use it as a context manager."""

    def __init__(self, run_dir: Path, read_only: bool = False):
        """Open ``run_dir/checkpoints``, made where it is missing; `read_only` changes nothing there."""
        policies = training.preservation_policies
        self._checkpointer = training.Checkpointer(
            (run_dir / "checkpoints").resolve(),
            save_decision_policy=training.save_decision_policies.FixedIntervalPolicy(1),
            preservation_policy=policies.AnyPreservationPolicy(
                [policies.LatestN(1), policies.BestN(get_metric_fn=lambda figures: figures["psnr"], n=1)]
            ),
            cleanup_tmp_directories=not read_only,  # what a killed run was writing
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: Any) -> None:
        """Wait for the save under way, if any."""
        self._checkpointer.close()

    @property
    def epochs(self) -> list[int]:
        """The epochs there are checkpoints of, in order."""
        return sorted(checkpoint.step for checkpoint in self._checkpointer.checkpoints)

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the highest test PSNR of those kept."""
        checkpoints = self._checkpointer.checkpoints
        return max(checkpoints, key=lambda checkpoint: checkpoint.metrics["psnr"]).step if checkpoints else None

    def save(self, epoch: int, state: TrainState, psnr: float) -> None:
        """Save `state` as it is after `epoch`; returns before it is on disk."""
        state = jax.tree.map(jnp.copy, state)  # the next epoch consumes the original while this one is being written
        self._checkpointer.save_checkpointables_async(
            epoch,
            {"params": state.params, "rest": {"step": state.step, "opt_state": state.opt_state}},
            metrics={"psnr": psnr},
            custom_metadata={"params_digest": digest(state.params)},
        )

    def restore(self, epoch: int, like: TrainState) -> TrainState:
        """The state after `epoch`, on the devices and with the types of `like`."""
        rest = {"step": like.step, "opt_state": like.opt_state}
        loaded = self._load(epoch, {"params": like.params, "rest": rest})
        return TrainState(loaded["rest"]["step"], loaded["params"], loaded["rest"]["opt_state"])

    def restore_params(self, epoch: int, like: PyTree) -> PyTree:
        """The parameters after `epoch` alone, whatever they were trained with and on."""
        return self._load(epoch, {"params": like})["params"]

    def _load(self, epoch: int, like: dict[str, Any]) -> dict[str, Any]:
        where = f"checkpoint {epoch} in {self._checkpointer.directory}"
        _report_once()
        try:
            loaded = self._checkpointer.load_checkpointables(epoch, jax.tree.map(_abstract, like))
            recorded = self._checkpointer.checkpointables_metadata(epoch).custom_metadata["params_digest"]
        except Exception as error:  # Orbax and TensorStore raise what they like on a damaged file
            raise UserError(f"{where} cannot be read, damaged or of another network: train again elsewhere") from error
        if digest(loaded["params"]) != recorded:
            raise UserError(
                f"{where} is damaged: its parameters are not those it was saved with; train again elsewhere"
            )
        return loaded


@functools.cache
def _report_once() -> None:
    """Keep to ourselves what asyncio and TensorStore's threads say, late and at length, of a read that has failed."""
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    report = sys.unraisablehook

    def report_others(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            report(unraisable)

    sys.unraisablehook = report_others


def _abstract(array: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding)
