"""A page about a trained run, `report.html`, that needs nothing but itself.

Its sections lie in `page`, the comparison of several runs in `comparison`; `python -m jaxae.report` makes both anew.
"""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from jaxae import files
from jaxae.report.comparison import comparison
from jaxae.report.page import page
from jaxae.report.run import Run, load

__all__ = ["REPORT", "Run", "comparison", "load", "page", "write_or_warn"]

REPORT = "report.html"


def write_or_warn(path: Path, make: Callable[..., bytes], *runs: Run) -> None:
    """Write the page that `make` makes of `runs` that have just ended; where that fails, say so and leave it."""
    try:
        files.write_bytes(path, make(*runs))
    except Exception as error:  # whatever it is, the runs have ended well
        again = shlex.join(["python", "-m", "jaxae.report", *(run.name for run in runs), "--out", str(path)])
        print(f"warning: {path} was not written: {error!r}; {again} tries again", file=sys.stderr)
