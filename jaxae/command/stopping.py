"""How SIGTERM and Ctrl-C end a command: within `GRACE` seconds, with a line that says how to go on.

A checkpoint is the unit of what is kept. A signal sets a flag: a loop that asks `requested` has `GRACE` seconds to
complete the save under way and to raise `Stopped`. A thread ends the process after that, or at once if nobody has ever
asked, or at a second signal. This harms no file, since each is put in place whole. The status is 128 + the signal's
number, as in a shell: 130 after Ctrl-C, 143 after SIGTERM.

Nothing is raised where the signal happens to arrive: that may be an import, or a callback that swallows exceptions.

After SIGHUP, when the terminal is gone, a command goes on without it.
"""

import os
import select
import signal
import threading
import time

from jaxae import files

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE = 2.5  # seconds
TOGETHER = 0.3  # seconds within which a signal is the same again: `timeout` sends it to a process and to its group

_advice = ""
_number: int | None = None  # the signal that asked this process to stop
_polled = False
_terminals: list[int] = []  # of standard output and standard error, those that are one
_ending = threading.Lock()
_wakeup: int | None = None  # where C code writes the number of each signal, whatever Python is doing


class Stopped(KeyboardInterrupt):
    """The command was asked to stop by the signal `number`."""

    def __init__(self, number: int | None = None):
        self.number = number or _number or signal.SIGINT
        super().__init__(self.number)


def install() -> None:
    """Let signals stop this process from now on; those that it ignores, as in a background job, stay ignored.

    Only in the main thread, where Python allows it.
    """
    global _wakeup
    if threading.current_thread() is not threading.main_thread():
        return
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:  # a closed standard stream must not become another file
        pass
    os.close(opened)
    if _wakeup is None:
        reader, _wakeup = os.pipe()
        os.set_blocking(_wakeup, False)
        _terminals[:] = [number for number in (1, 2) if os.isatty(number)]
        threading.Thread(target=_watch, args=(reader,), name="signals", daemon=True).start()
        os.register_at_fork(after_in_child=_restore)
    signal.set_wakeup_fd(_wakeup)
    for number in (*SIGNALS, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _forward)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def requested() -> bool:
    """Return whether this process was asked to stop; then raise `Stopped` within `GRACE` seconds."""
    global _polled
    _polled = True
    return _number is not None


def check() -> None:
    """Raise `Stopped` if this process was asked to stop; see `requested`."""
    if requested():
        raise Stopped


def set_advice(text: str) -> None:
    """Set the advice that is printed when this process is stopped."""
    global _advice
    _advice = text


def farewell() -> str:
    """The last line on standard error of a command that was stopped."""
    return "stopped" + (f"; {_advice}" if _advice else "")


def end() -> None:
    """End the process where it stands: JAX would first wait for what the device is computing."""
    _ending.acquire()  # for ever: of two threads one says so
    number = _number or signal.SIGINT
    try:
        files.discard_unfinished()
        for terminal in _terminals:
            os.write(terminal, b"\r\x1b[?25h")  # rich has hidden the cursor
        os.write(2, f"{farewell()}\n".encode())  # `sys.stderr` may be locked by a thread that is writing
    finally:
        os._exit(128 + number)


def _forward(number: int, _frame: object) -> None:
    """Tell `_watch`: C code has not while an event loop of Orbax has the wakeup descriptor for itself."""
    if _wakeup is not None and (_number is None or number == signal.SIGHUP):
        os.write(_wakeup, bytes([number]))


def _restore() -> None:
    """Let signals end a forked process, which has no thread that watches."""
    signal.set_wakeup_fd(-1)
    for number in (*SIGNALS, signal.SIGHUP):
        if signal.getsignal(number) is _forward:
            signal.signal(number, signal.SIG_DFL)


def _watch(reader: int) -> None:
    global _number
    began = deadline = 0.0
    while True:
        wait = None if _number is None else max(0.0, deadline - time.monotonic())
        if not select.select([reader], [], [], wait)[0]:
            end()
        for number in os.read(reader, 64):
            if number == signal.SIGHUP:
                nowhere = os.open(os.devnull, os.O_RDWR)
                for terminal in _terminals:
                    os.dup2(nowhere, terminal)
            elif number in SIGNALS and _number is None:
                began = time.monotonic()
                deadline = began + (GRACE if _polled else 0)
                _number = number
            elif number in SIGNALS and time.monotonic() > began + TOGETHER:
                end()
