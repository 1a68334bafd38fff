"""Prepare data sets, and list them.

python -m jaxae.data prepare NAME [--from PATH]
python -m jaxae.data list
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from jaxae import command
from jaxae.command import output
from jaxae.data import available, default_data_dir, prepare
from jaxae.data.official import OFFICIAL
from jaxae.data.places import EMBEDDED


@dataclass(frozen=True)
class Prepare:
    """Prepare a data set, by download or from official data on this machine."""

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(help=", ".join([*OFFICIAL, *EMBEDDED]))]
    from_path: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """The official files, or a folder that holds them: as downloaded, unpacked, or as torchvision, Keras or Kaggle
    have them."""
    data_dir: Path | None = None
    """Where it is prepared; by default $TFDS_DATA_DIR, else a directory of jaxae."""


@dataclass(frozen=True)
class List:
    """Show the data sets that are prepared or can be."""

    data_dir: Path | None = None
    """Where to look; by default $TFDS_DATA_DIR, else a directory of jaxae, and TFDS's own."""


@dataclass(frozen=True)
class Arguments:
    """Prepare data sets, and list them."""

    command: Annotated[
        Annotated[Prepare, tyro.conf.subcommand("prepare", prefix_name=False)]
        | Annotated[List, tyro.conf.subcommand("list", prefix_name=False)],
        tyro.conf.arg(name=""),
    ]


def main() -> None:
    """Run the command line."""
    asked = command.parse_arguments(Arguments, description=__doc__).command
    if isinstance(asked, Prepare):
        print(f"{asked.name} is prepared in {prepare(asked.name, asked.data_dir, asked.from_path)}")
        return
    names, states, sizes = zip(*available(asked.data_dir), strict=True)
    images = [", ".join(f"{split} {size:,}" for split, size in each.items()) for each in sizes]
    title = f"data sets in {asked.data_dir or default_data_dir()}"
    output.print_table(title, {"name": names, "status": states, "images": images})


if __name__ == "__main__":
    command.run_main(main)
