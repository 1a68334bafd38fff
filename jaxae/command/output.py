"""Standard output and error that take any text anywhere, and what commands print: tables and JSON."""

import errno
import io
import json
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

STDOUT = "standard output"


class _Stream(io.FileIO):
    """Standard output or error. A terminal that is gone takes everything; an error names standard output."""

    def write(self, data: Any) -> int | None:
        try:
            if (written := super().write(data)) is None:  # another program has made the pipe fail rather than wait
                os.set_blocking(self.fileno(), True)
                written = super().write(data)
            return written
        except OSError as error:
            if error.errno == errno.EIO or self.fileno() == 2:
                return len(data)
            error.filename = STDOUT
            raise


def open_streams() -> None:
    """Replace Python's standard output and error, unless something else, such as a notebook, has done so already.

    Characters outside the encoding are escaped, and what is written to a closed stream is dropped.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        old = getattr(sys, name)
        if old is getattr(sys, f"__{name}__"):
            raw = _Stream(number, "w", closefd=False)
            options: Any = {each: getattr(old, each, False) for each in ("line_buffering", "write_through")}
            encoding = getattr(old, "encoding", "utf-8")
            stream = io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", **options)
            setattr(sys, name, stream)


def close_stdout() -> None:
    """Drop what is left of standard output, which takes no more, so that Python does not try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


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
