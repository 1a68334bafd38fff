"""One program for all commands: `jaxae COMMAND …`, or `python -m jaxae COMMAND …`."""

import ast
import difflib
import importlib.util
import runpy
import shutil
import sys
import textwrap
from pathlib import Path

import jaxae
from jaxae import command
from jaxae.command.program import COMMANDS, start_one
from jaxae.errors import UserError

ABOUT = """usage: jaxae COMMAND [OPTIONS]

Small convolutional autoencoders, trained fast. Each command has --help.
"""


def about(module: str) -> str:
    """Return the first sentence of a command's docstring, read from its file: importing all would take seconds."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin)
    path = path.with_name("__main__.py") if spec.submodule_search_locations else path
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0].replace("\n", " ")


def list_commands() -> None:
    """Print each command with a line about it."""
    indent, columns = max(map(len, COMMANDS)) + 4, shutil.get_terminal_size().columns
    print(ABOUT)
    for name, module in COMMANDS.items():
        print(
            textwrap.fill(
                about(module), columns, initial_indent=f"  {name}".ljust(indent), subsequent_indent=" " * indent
            )
        )


def choose(words: list[str]) -> tuple[str, list[str]]:
    """Return the name of the command that `words` begin with, and the words after it.

    Raises:
        UserError: if there is none, with the most similar name.
    """
    for name in COMMANDS:
        if words[: len(name.split())] == name.split():
            return name, words[len(name.split()) :]
    given = " ".join(words[: 2 if words[0] == "train" else 1])
    near = difflib.get_close_matches(given, COMMANDS, n=1, cutoff=0.5)
    meant = f"did you mean {near[0]}?" if near else "`jaxae` lists the commands"
    raise UserError(f"there is no command {given!r}; {meant}")


def main() -> None:
    """Run the command that the command line names."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        command.run_main(list_commands)
    if words[0] == "--version":
        command.run_main(lambda: print(f"jaxae {jaxae.__version__}"))
    try:
        name, rest = choose(words)
    except UserError as error:
        command.fail(error)
    start = ["jaxae"] if Path(sys.argv[0]).stem == "jaxae" else ["python", "-m", "jaxae"]
    runpy.run_module(start_one(start, name, rest), run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
