"""Write the page of a trained run anew, and of several runs a page that compares them too.

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
    """Write report.html into each run's directory; of several runs also a page that compares them."""

    run_dirs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """The runs' directories."""
    out: Path | None = None
    """Where the page of one run, or the comparison of several, goes; by default RUN_DIR/report.html, or
    comparison.html."""
    data: DataOverride = field(default_factory=DataOverride)


def main() -> None:
    """Report as the command line says."""
    arguments = command.parse(Arguments)
    if not arguments.run_dirs:
        raise UserError("no run is named: give the directory of at least one")
    out = arguments.out
    if out is not None and not out.parent.is_dir():
        raise UserError(f"--out {out}: there is no directory {out.parent}")
    command.enable_compilation_cache()
    runs = [report.load(run_dir, arguments.data) for run_dir in arguments.run_dirs]
    pages = {run_dir / report.REPORT: run for run_dir, run in zip(arguments.run_dirs, runs, strict=True)}
    if out is not None and len(runs) == 1:
        pages = {out: runs[0]}
    for path, run in pages.items():
        files.write_bytes(path, report.page(run))
        print(f"written: {path}")
    if len(runs) > 1:
        out = out or Path("comparison.html")
        files.write_bytes(out, report.comparison(*runs))
        print(f"written: {out}")


if __name__ == "__main__":
    command.run_main(main)
