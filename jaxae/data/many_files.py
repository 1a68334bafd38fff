"""Many picture files read on every core, with a bar on a terminal; what is wrong with some of them is taken down."""

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from jaxae.data.cutting import Cut, Misfit
from jaxae.errors import UserError

_PATIENCE = 2.0  # seconds of reading before a bar is shown


def read(path: Path, names: list[str], read_one: Callable[[str], Cut]) -> tuple[list[np.ndarray], dict[str, Any]]:
    """The images that `read_one` makes of each of `names`, files in the folder `path`, and what is to be said of them.

    That is, as JSON types: ``skipped``, words on each file that raised UserError; ``counts``, how many images each of
    the others gave; ``notes``, each with the first file that it is of and the number of them. Misfit is raised again.
    """
    images: list[np.ndarray] = []
    found: dict[str, Any] = {"skipped": [], "counts": {}, "notes": {}}

    def attempt(name: str) -> Cut | UserError:
        try:
            return read_one(name)
        except UserError as error:
            return error

    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool, _bar(path, len(names)) as advance:
        # Pillow warns of a large image and refuses a huge one; only the second is left out. Odd metadata does not
        # matter here.
        warnings.simplefilter("ignore")
        with closing(pool.map(attempt, names)) as results:  # when closed early, what is not begun is given up
            for name, result in zip(names, results, strict=True):
                advance()
                if isinstance(result, Misfit):
                    raise result
                if isinstance(result, UserError):
                    found["skipped"].append(f"{name} ({str(result).removeprefix(f'{path / name}: ')})")
                    continue
                cut, notes = result
                images += cut
                found["counts"][name] = len(cut)
                for note in notes:
                    first, count = found["notes"].get(note, (name, 0))
                    found["notes"][note] = (first, count + 1)
    return images, found


@contextmanager
def _bar(path: Path, total: int) -> Iterator[Callable[[], None]]:
    """A function to call for each file read, which draws a bar on a terminal once that takes its time."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich import console, progress

    columns = *progress.Progress.get_default_columns(), progress.MofNCompleteColumn()
    bar = progress.Progress(*columns, console=console.Console(stderr=True), transient=True)
    task, started = bar.add_task(f"reading {path}", total=total), time.perf_counter()

    def advance() -> None:
        bar.advance(task)
        if not bar.live.is_started and time.perf_counter() - started > _PATIENCE:
            bar.start()

    try:
        yield advance
    finally:
        bar.stop()
