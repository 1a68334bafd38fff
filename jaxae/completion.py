"""Print a script by which a shell completes the commands and their options.

jaxae completion bash >> ~/.bashrc
jaxae completion zsh >> ~/.zshrc
"""

import contextlib
import importlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_type_hints

import tyro

from jaxae import command
from jaxae.command.program import COMMANDS, program_module
from jaxae.experiments import running

SCRIPT = """\
_jaxae() {{
    local found= current="${{COMP_WORDS[COMP_CWORD]}}"
    case "${{COMP_WORDS[*]:1:$((COMP_CWORD - 1))}} " in
{cases}
    esac
    [[ $current == -* || $found != --* ]] || found=
    COMPREPLY=($(compgen -W "$found" -- "$current"))
}}
complete -o default -F _jaxae jaxae
"""
BASH_IN_ZSH = "autoload -U +X compinit && compinit; autoload -U +X bashcompinit && bashcompinit\n"


@dataclass(frozen=True)
class Arguments:
    """Print a script by which a shell completes the commands and their options."""

    shell: Annotated[Literal["bash", "zsh"], tyro.conf.Positional]
    """The shell."""


def list_parsers() -> Iterator[tuple[str, Any]]:
    """Yield the words of each command, and the class of its arguments."""
    for name, module in COMMANDS.items():
        arguments = getattr(importlib.import_module(program_module(module)), "Arguments", running.Arguments)
        choice = get_type_hints(arguments, include_extras=True).get("command")
        if choice is None:
            yield name, arguments
            continue
        for each in get_args(get_args(choice)[0]):  # the classes of a command with commands of its own
            kind, about = get_args(each)
            yield f"{name} {about.name}", kind


def options_of(arguments: Any) -> list[str]:
    """Return the options that the help of a command lists."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        tyro.cli(arguments, args=["--help"])
    return list(
        dict.fromkeys(re.findall(r"^(?:│ | {1,2})(?:-h, )?(--[a-z][a-z0-9.-]*)", text.getvalue(), re.MULTILINE))
    )


def bash_script() -> str:
    """Return the script for bash, which is that for zsh too after `BASH_IN_ZSH`."""
    known = {name: options_of(arguments) for name, arguments in list_parsers()}
    following: dict[str, dict[str, None]] = {}  # the words that may follow others
    for words in (name.split() for name in known):
        for place, word in enumerate(words):
            following.setdefault(" ".join(words[:place]), {})[word] = None
    cases = [f'        "{before} ") found="{" ".join(words)}" ;;' for before, words in following.items()]
    cases += [f'        "{name} "*) found="{" ".join(options)}" ;;' for name, options in known.items()]
    return SCRIPT.format(cases="\n".join(cases))


def main() -> None:
    """Print the script as the command line says."""
    shell = command.parse_arguments(Arguments).shell
    print((BASH_IN_ZSH if shell == "zsh" else "") + bash_script(), end="")


if __name__ == "__main__":
    command.run_main(main)
