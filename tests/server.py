"""Runs commands of jaxae one after another in one process, which imports and compiles once for all of them.

A program: reads a JSON object a line from standard input (see `tests.process`), and answers each with the status.
"""

import contextlib
import gc
import json
import os
import runpy
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def writing_to(out: str, err: str) -> Iterator[None]:
    """Send what this process and its libraries print to the files `out` and `err`."""
    kept = [os.dup(1), os.dup(2)]
    try:
        for number, path in ((1, out), (2, err)):
            with open(path, "wb") as file:
                os.dup2(file.fileno(), number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)


@contextlib.contextmanager
def left_as_it_was() -> Iterator[None]:
    """Undo what a command does to its process: warnings are given again, signals end it, variables are unset."""
    variables, place, arguments, shown = dict(os.environ), os.getcwd(), sys.argv, warnings.showwarning
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")  # of a module imported before
            yield
    finally:
        warnings.showwarning = shown
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.environ.clear()
        os.environ.update(variables)
        os.chdir(place)
        sys.argv = arguments
        gc.collect()


def run_module(name: str, arguments: list[str]) -> int:
    """``python -m NAME ARGUMENTS…`` in this process; its status."""
    sys.argv = [name, *arguments]
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def serve(line: dict[str, Any]) -> int:
    """Run one command."""
    with writing_to(line["out"], line["err"]), left_as_it_was():
        os.chdir(line["cwd"])
        return run_module(line["module"], line["arguments"])


if __name__ == "__main__":
    # of an earlier command, whose filters are undone after it
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for asked in sys.stdin:
        print(serve(json.loads(asked)), file=answers)
