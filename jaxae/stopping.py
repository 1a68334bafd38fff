"""Leaving early: what SIGTERM and Ctrl-C do to a command.

The checkpoint is the unit of what is kept, so while a network trains, the first signal lets the epoch under way end
and be saved, as long as that takes no more than `GRACE_SECONDS`: an epoch mostly takes less, and nothing is lost. A
longer one is given up then, since a scheduler that sends SIGTERM follows it with SIGKILL, and nobody waits minutes for
Ctrl-C; the checkpoint of the epoch before, written to its end, is what the run goes on from. Elsewhere the first signal
ends the command where it stands. The second leaves at once; a file is only ever put in place whole, so even that harms
no run.

The status is 128 + the signal's number, as in a shell: 130 after Ctrl-C, 143 after SIGTERM.

A handler written in Python waits until the main thread returns from compiled code, which may take an epoch. So a
thread of its own hears of the signal, through `signal.set_wakeup_fd`, and ends the process when the time is up.
"""

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

GRACE_SECONDS = 10.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """The command was asked to stop by the signal `number`."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


class _State:
    """There is one set of signals in a process, so there is one of these."""

    installed = False
    asked: int | None = None  # the first signal's number
    finish: Callable[[], None] | None = None  # while a network trains: completes the save under way
    advice: str | None = None
    leaving = False


def install() -> None:
    """From now on a signal stops this process as described above; from the main thread only, and once."""
    if _State.installed or threading.current_thread() is not threading.main_thread():
        return
    _State.installed = True
    heard, hears = os.pipe()
    os.set_blocking(hears, False)
    signal.set_wakeup_fd(hears, warn_on_full_buffer=False)
    for number in SIGNALS:
        signal.signal(number, _handle)
    threading.Thread(target=_watch, args=(heard,), name="stopping", daemon=True).start()


def advise(text: str) -> None:
    """Say `text` to whoever stops this process: how to go on."""
    _State.advice = text


def asked() -> bool:
    """Whether a signal came in a `gently` block, which the block's loop then ends soon."""
    return _State.asked is not None


@contextlib.contextmanager
def gently(finish: Callable[[], None]) -> Iterator[None]:
    """Let the block end by itself after the first signal, and raise Stopped at its end.

    Where it takes longer than `GRACE_SECONDS`, `finish` is called from another thread, and the process ends.
    """
    _State.finish = finish
    try:
        yield
    finally:
        _State.finish = None
    if _State.asked is not None:
        raise Stopped(_State.asked)


def say_goodbye(given_up: bool = False) -> None:
    """The last line on standard error."""
    said = "stopped" + (", giving up the epoch under way" if given_up else "")
    print(said + (f"; {_State.advice}" if _State.advice else ""), file=sys.stderr, flush=True)


def forget() -> None:
    """Take no notice of signals any more: the process is about to end."""
    _State.leaving = True


def _handle(number: int, _frame: object) -> None:
    if _State.asked is None:
        _State.asked = number
        if _State.finish is None and not _State.leaving:
            raise Stopped(number)


def _watch(heard: int) -> None:
    number = os.read(heard, 1)[0]
    training = _State.finish is not None
    if training:
        seconds = f"{GRACE_SECONDS:.0f} s at most"
        print(f"stopping after this epoch, in {seconds}; once more to leave at once", file=sys.stderr, flush=True)
    if not select.select([heard], [], [], GRACE_SECONDS)[0]:
        threading.Thread(target=_finish_and_leave, args=(number, training), daemon=True).start()
    os.read(heard, 1)
    _leave(number)


def _finish_and_leave(number: int, training: bool) -> None:
    finish = _State.finish
    if finish is not None:
        with contextlib.suppress(Exception):  # a save that fails leaves the checkpoint before it
            finish()
    if not _State.leaving:
        say_goodbye(given_up=training)
    _leave(number)


def _leave(number: int) -> NoReturn:
    if sys.stdout.isatty():
        os.write(1, b"\x1b[?25h")  # a progress bar hides the cursor
    os._exit(128 + number)
