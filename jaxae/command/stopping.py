"""How SIGTERM and Ctrl-C end a command: at once, with a line that says how to go on.

A checkpoint is the unit of what is kept. The first signal raises `Stopped` in the main thread, so that `with` blocks
complete the save under way; a second one ends the process where it stands, which harms no file: each is put in place
whole. The status is 128 + the signal's number, as in a shell: 130 after Ctrl-C, 143 after SIGTERM.
"""

import signal
import threading

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_advice = ""


class Stopped(KeyboardInterrupt):
    """The command was asked to stop by the signal `number`."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


def install() -> None:
    """Raise `Stopped` on a signal from now on; in the main thread alone, where Python allows it."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, _stop)


def set_advice(text: str) -> None:
    """Set the advice that is printed when this process is stopped."""
    global _advice
    _advice = text


def farewell() -> str:
    """The last line on standard error of a command that was stopped."""
    return "stopped" + (f"; {_advice}" if _advice else "")


def _stop(number: int, _frame: object) -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    raise Stopped(number)
