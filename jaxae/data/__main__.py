"""Prepare data sets, and list them.

python -m jaxae.data prepare NAME [--from PATH]
python -m jaxae.data list
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxae import command
from jaxae.data import available, default_data_dir, prepare
from jaxae.data.official import BUILDERS
from jaxae.data.places import EMBEDDED


@dataclass(frozen=True)
class Prepare:
    """Prepare a data set, by download or from official data that lies here."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(help=", ".join([*BUILDERS, *EMBEDDED]))]
    from_path: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """The official files, or a folder that they are in: as they came, unpacked, or as torchvision, Keras or Kaggle have
    them."""
    data_dir: Path | None = None
    """Where it is prepared; by default $TFDS_DATA_DIR, else a place of jaxae's own."""


@dataclass(frozen=True)
class List:
    """Show what is prepared, and what can be."""

    data_dir: Path | None = None
    """Where to look; by default $TFDS_DATA_DIR, else a place of jaxae's own, and TFDS's."""


Command = (
    Annotated[Prepare, tyro.conf.subcommand("prepare", prefix_name=False)]
    | Annotated[List, tyro.conf.subcommand("list", prefix_name=False)]
)


@dataclass(frozen=True)
class Arguments:
    """Prepare data sets, and list them."""

    command: Annotated[Command, tyro.conf.arg(name="")]


def main() -> None:
    """Prepare or list as the command line says."""
    asked = command.parse(Arguments, description=__doc__).command
    if isinstance(asked, Prepare):
        print(f"{asked.name} is prepared in {prepare(asked.name, asked.data_dir, asked.from_path)}")
    else:
        _show(asked.data_dir)


def _show(data_dir: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    where = data_dir or default_data_dir()
    table = Table("name", "status", "images", title=f"data sets in {where}", title_justify="left", box=None)
    for entry in available(data_dir):
        sizes = ", ".join(f"{split} {size:,}" for split, size in entry.sizes.items())
        table.add_row(entry.name, entry.status, sizes)
    Console().print(table)


if __name__ == "__main__":
    command.run_main(main)
