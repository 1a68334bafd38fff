"""What Orbax and TensorStore say when something goes wrong, in one line."""

import contextlib
import functools
import inspect
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn

from jaxae.errors import UserError


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Make one line of whatever Orbax and TensorStore raise when they cannot write."""
    try:
        yield
    except Exception as error:
        _fail(what, error)


def _fail(what: str, error: Exception) -> NoReturn:
    reasons = {
        "No space left": "no space left on device",
        "Disk quota": "disk quota exceeded",
        "File too large": "a limit on the size of files is reached",
    }
    reason = next((reasons[sign] for sign in reasons if sign in str(error)), " ".join(str(error).split())[:200])
    raise UserError(
        f"cannot write {what}: {reason}; the last checkpoint before it is intact: make room there and add --resume"
    ) from error


@functools.cache
def report_once() -> None:
    """Keep to ourselves what Orbax, asyncio and TensorStore's threads say at length of an error that is raised too."""
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Orbax gives up on a damaged checkpoint and leaves coroutines behind, which complain whenever they are collected.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    report = sys.unraisablehook

    def report_others(unraisable: Any) -> None:
        if not inspect.iscoroutine(unraisable.object) and str(unraisable.exc_value) != "Event loop is closed":
            report(unraisable)

    sys.unraisablehook = report_others
