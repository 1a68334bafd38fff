"""HTML reports of trained runs: self-contained pages that need no network and no other file.

`run_page` reports one run, `comparison_page` several; `python -m jaxae.report` writes both.
"""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from jaxae import command, files
from jaxae.report.comparison import comparison_page
from jaxae.report.page import run_page
from jaxae.report.tested_run import Run, load_tested_run

__all__ = ["REPORT", "Run", "comparison_page", "load_tested_run", "run_page", "write_or_warn"]

REPORT = "report.html"


def write_or_warn(path: Path, make: Callable[..., bytes], *runs: Run) -> None:
    """Write the page that `make` returns for `runs`; on failure, print a warning with the command that retries."""
    try:
        files.write_bytes(path, make(*runs))
    except Exception as error:  # a report that fails must not fail the training that came before
        retry = shlex.join([*command.module_words("jaxae.report"), *(run.name for run in runs), "--out", str(path)])
        print(f"warning: {path} was not written: {error!r}; retry with: {retry}", file=sys.stderr)
