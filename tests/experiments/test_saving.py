"""When states are saved, with checkpoints that only take note."""

import jax
import pytest

from jaxae.experiments import saving
from jaxae.experiments.saving import Saver
from jaxae.runs.checkpoints import Checkpoints


class Notes(Checkpoints):
    """Without a directory."""

    epochs = None

    def __init__(self, endless=False):
        self.epochs, self.waits, self.endless, self.are_saved = [], [], endless, True

    def save(self, epoch, state, score):
        self.epochs.append(epoch)
        self.are_saved = False

    def wait(self, timeout=None):
        self.waits.append(timeout)
        self.are_saved = True
        if self.endless:
            raise TimeoutError


def offer(saver, epoch, seconds=1.0, best=None):
    saver.offer(seconds, lambda: [(each, None, None) for each in (best or epoch, epoch)])


def test_a_state_is_saved_by_the_clock_and_at_the_end():
    notes = Notes()
    with Saver(notes, 2.5) as saver:
        for epoch in range(1, 9):
            offer(saver, epoch)
    assert notes.epochs == [3, 6, 8]
    assert notes.are_saved


def test_the_best_is_saved_before_the_latest_and_once():
    notes = Notes()
    with Saver(notes, 0.0) as saver:
        for epoch in (1, 2, 3):
            offer(saver, epoch, best=min(epoch, 2))
        offer(saver, 5, seconds=-1.0, best=4)
    assert notes.epochs == [1, 2, 3, 4, 5]


def interrupt(notes, error):
    with Saver(notes, 100.0) as saver:
        offer(saver, 7)
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_last_state_is_saved_when_training_is_ended(error):
    notes = Notes()
    with pytest.raises(error):
        interrupt(notes, error)
    assert notes.epochs == [7]
    assert notes.are_saved


def test_after_a_signal_one_of_several_processes_saves_nothing(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    notes = Notes()
    with pytest.raises(KeyboardInterrupt):
        interrupt(notes, KeyboardInterrupt)
    assert notes.epochs == []


def test_an_error_is_not_hidden_by_a_save_that_fails():
    with pytest.raises(ValueError, match="of the training"):
        interrupt(Notes(endless=True), ValueError("of the training"))


def test_the_last_save_after_a_signal_has_a_time_limit():
    notes = Notes()
    with pytest.raises(KeyboardInterrupt):
        interrupt(notes, KeyboardInterrupt)
    assert notes.waits[-1] <= saving.STOP_SECONDS


def test_a_stop_does_not_wait_for_a_slow_disk():
    notes = Notes(endless=True)
    with pytest.raises(KeyboardInterrupt):
        interrupt(notes, KeyboardInterrupt)
    assert notes.epochs == []
    assert notes.waits == [saving.STOP_SECONDS]
