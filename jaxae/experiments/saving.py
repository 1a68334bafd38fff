"""When checkpoints are saved: by the clock, and at the end of training, however it comes."""

import contextlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import jax

from jaxae.command import stopping
from jaxae.runs.checkpoints import Checkpoints
from jaxae.training import TrainState

STOP_SECONDS = 0.8 * stopping.GRACE  # for the last checkpoint after a signal

Saves = list[tuple[int, TrainState, float | None]]  # epochs, their states and validation scores


class Saver(AbstractContextManager["Saver"]):
    """Saves the states that it is offered; at the end of its block the last one, after a signal if that is soon done.

    The clock is the time that epochs took, which all processes of a run agree on.
    """

    def __init__(self, checkpoints: Checkpoints, seconds: float):
        """Save every so many `seconds`."""
        self._checkpoints, self._interval = checkpoints, seconds
        self._elapsed, self._offered = 0.0, lambda: []

    def offer(self, seconds: float, saves: Callable[[], Saves]) -> None:
        """Take note of states that `seconds` of training led to, in the order in which they are to be saved."""
        self._offered = saves
        self._elapsed += seconds
        if self._elapsed >= self._interval:
            self._save()

    def _save(self) -> None:
        self._checkpoints.wait()
        saved = set(self._checkpoints.epochs)
        for epoch, state, score in self._offered():
            if epoch not in saved:
                self._checkpoints.save(epoch, state, score)
                saved.add(epoch)
        self._elapsed, self._offered = 0.0, lambda: []

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is None or not issubclass(kind, KeyboardInterrupt):
            with contextlib.suppress(Exception) if kind else contextlib.nullcontext():
                self._save()
                self._checkpoints.wait()
            return
        end = time.monotonic() + STOP_SECONDS
        with contextlib.suppress(Exception):
            self._checkpoints.wait(STOP_SECONDS)
            if jax.process_count() == 1:  # else the others would have to save it, too
                self._save()
                self._checkpoints.wait(end - time.monotonic())
