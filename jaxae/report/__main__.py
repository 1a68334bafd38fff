"""Write the report of one trained run, or of several runs and a comparison of them.

python -m jaxae.report RUN_DIR [RUN_DIR ...] [--out FILE]
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from jaxae import command, files, report
from jaxae.config import DataOverride
from jaxae.errors import UserError


@dataclass(frozen=True)
class Arguments:
    """Write report.html into the directory of each run and, for several runs, a page that compares them."""

    run_dirs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Directories of the runs."""
    out: Path | None = None
    """File for the report of a single run (by default RUN_DIR/report.html) or for the comparison of several (by default
    comparison.html)."""
    data: DataOverride = field(default_factory=DataOverride)


def main() -> None:
    """Write the reports that the command line asks for."""
    arguments = command.parse_arguments(Arguments)
    run_dirs, out = arguments.run_dirs, arguments.out
    if not run_dirs:
        raise UserError("no run given: name the directory of at least one run")
    if out is not None and not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no directory {out.parent}")
    runs = [report.load_tested_run(run_dir, arguments.data) for run_dir in run_dirs]
    pages = {run_dir / report.REPORT: report.run_page(run) for run_dir, run in zip(run_dirs, runs, strict=True)}
    if len(runs) > 1:
        pages[out or Path("comparison.html")] = report.comparison_page(*runs)
    elif out is not None:
        pages = {out: report.run_page(runs[0])}
    for path, content in pages.items():
        files.write_bytes(path, content)
        print(f"written: {path}")


if __name__ == "__main__":
    command.run_main(main)
