import importlib.util
import shutil
import subprocess
import sys

import pytest

from jaxae import completion
from jaxae.command.program import COMMANDS, program_module


def test_every_command_has_a_module():
    for module in COMMANDS.values():
        assert importlib.util.find_spec(program_module(module)) is not None, module


@pytest.fixture(scope="module")
def scripts():
    bash = completion.bash_script()
    return {"bash": bash, "zsh": completion.BASH_IN_ZSH + bash}


ZSH = "emulate -L sh; setopt kshglob noshglob braceexpand ksharrays"  # as `_bash_complete` sets it


def completed(shell, script, *words):
    """What the shell offers for the last of `words`."""
    quoted = " ".join(f"'{word}'" for word in words)
    call = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _jaxae; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    call = call if shell == "bash" else f"call() {{ {ZSH}; {call} }}; call"
    script = script.replace("compinit;", "compinit -D -u;")  # without a file of its own, whoever owns the folders
    done = subprocess.run([shell, "-c", f"{script}\n{call}"], capture_output=True, text=True, check=True)
    # of `compgen`'s words zsh itself takes those that begin like the last one
    return [word for word in done.stdout.split() if word.startswith(words[-1])]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["tr"], ["train"]),
        (["train", ""], ["mnist-denoise", "cifar10-denoise", "cifar10-reconstruct", "photo-denoise"]),
        (["train", "mnist-denoise", "--run"], ["--run-dir"]),
        (["train", "mnist-denoise", "--seed", "1", "--noise.f"], ["--noise.factor"]),
        (["data", "p"], ["prepare"]),
        (["data", "prepare", "mnist", "--f"], ["--from"]),
        (["denoise", "--add"], ["--add-noise"]),
        (["denoise", "photo"], []),  # files, by the shell's default
        (["denoise", ""], []),  # files again, and no options
        (["nothing", "--"], []),
    ],
)
def test_a_shell_completes_commands_and_options(scripts, shell, words, offered):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    assert completed(shell, scripts[shell], "jaxae", *words) == offered


def test_every_command_has_its_options(scripts, monkeypatch, capsys):
    assert scripts["bash"].count('"*) found="--help') == len(list(completion.list_parsers()))
    monkeypatch.setattr(completion, "bash_script", lambda: "body")
    for shell, before in (("bash", ""), ("zsh", completion.BASH_IN_ZSH)):
        monkeypatch.setattr(sys, "argv", ["completion", shell])
        completion.main()
        assert capsys.readouterr().out == f"{before}body"
