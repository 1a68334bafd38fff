"""What libraries say at length and commands say in a line: hidden in a command's process, and only there."""

import inspect
import logging
import os
import sys
import warnings
from typing import Any


def quieten() -> None:
    """Hide what libraries say of an error that is raised too, and of a home directory that cannot be written."""
    for name in ("absl", "asyncio", "matplotlib", "tifffile"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    # Orbax gives up on a damaged checkpoint and leaves coroutines behind, which complain whenever they are collected.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    sys.unraisablehook = _report_others


def _report_others(unraisable: Any) -> None:
    if not inspect.iscoroutine(unraisable.object) and str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)
