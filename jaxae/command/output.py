"""What commands print as their result: tables and JSON."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any


def print_json(value: Any) -> None:
    """Print `value` as JSON."""
    print(json.dumps(value, indent=2))


def print_table(title: str, columns: Mapping[str, Sequence[str]], bold: Collection[tuple[str, int]] = ()) -> None:
    """Print a table, its first column flush left and the others flush right.

    Args:
        title: the line above it.
        columns: the cells of each column by its heading.
        bold: heading and row of the cells to print bold.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left")  # Text: brackets are not markup
    for number, heading in enumerate(columns):
        table.add_column(Text(heading), justify="right" if number else "left")
    for row, cells in enumerate(zip(*columns.values(), strict=True)):
        styled = zip(columns, cells, strict=True)
        table.add_row(*(Text(cell, "bold" if (heading, row) in bold else "") for heading, cell in styled))
    Console(highlight=False).print(table)
