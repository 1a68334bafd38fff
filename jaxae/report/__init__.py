"""A page about a trained run, `report.html`, that needs nothing but itself.

Its sections lie in `page`, the comparison of several runs in `comparison`; `python -m jaxae.report` makes both anew.
"""

import shlex
import sys
from pathlib import Path

from jaxae import runs
from jaxae.report.comparison import comparison
from jaxae.report.page import page
from jaxae.report.run import Run, load

__all__ = ["REPORT", "Run", "comparison", "load", "page", "write", "write_or_warn"]

REPORT = "report.html"


def write(path: Path, content: bytes) -> None:
    """Write a page, all of it or nothing."""
    with runs.replacing(path) as temporary:
        temporary.write_bytes(content)


def write_or_warn(run_dir: Path, run: Run) -> None:
    """Write the page of a run that has just ended; where that fails, say so and leave the rest of the run alone."""
    try:
        write(run_dir / REPORT, page(run))
    except Exception as error:  # whatever it is, the run has ended well
        again = shlex.join(["python", "-m", "jaxae.report", str(run_dir)])
        print(f"warning: {run_dir / REPORT} was not written: {error!r}; {again} tries again", file=sys.stderr)
