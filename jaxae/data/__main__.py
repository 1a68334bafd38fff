"""`python -m jaxae.data prepare NAME` prepares a data set; `python -m jaxae.data list` shows what is there."""

import argparse
from pathlib import Path
from typing import NoReturn

from jaxae.command import run_main
from jaxae.data import available, default_data_dir, prepare
from jaxae.data.official import BUILDERS
from jaxae.data.places import EMBEDDED
from jaxae.errors import UserError


class _Parser(argparse.ArgumentParser):
    """A parser that complains in one line, like the other commands."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (--help lists the options)")


def main() -> None:
    """The command line."""
    parser = _Parser(prog="python -m jaxae.data", description="Prepare data sets and list them.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("prepare", help="prepare a data set, by download or from official files in a folder")
    one.add_argument("name", help=", ".join([*BUILDERS, *EMBEDDED]))
    one.add_argument("--from", dest="from_dir", type=Path, metavar="DIR", help="folder with the official files")
    every = commands.add_parser("list", help="show what is prepared and what can be")
    for command in (one, every):
        command.add_argument(
            "--data-dir",
            type=Path,
            metavar="DIR",
            help="TFDS data directory (default: $TFDS_DATA_DIR, else TFDS's own)",
        )
    options = parser.parse_args()
    if options.command == "prepare":
        print(f"{options.name} is prepared in {prepare(options.name, options.data_dir, options.from_dir)}")
    else:
        _show(options.data_dir or default_data_dir())


def _show(data_dir: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "status", "images", title=f"data sets in {data_dir}", title_justify="left", box=None)
    for entry in available(data_dir):
        sizes = ", ".join(f"{split} {size:,}" for split, size in entry.sizes.items())
        table.add_row(entry.name, entry.status, sizes)
    Console().print(table)


if __name__ == "__main__":
    run_main(main)
