"""The one program for all commands."""

import runpy
import sys

import pytest

from jaxae import __main__ as main_module
from jaxae import __version__
from jaxae.command import program
from jaxae.command.program import COMMANDS
from tests.process import alone


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `jaxae WORDS…` up to the command's own module; returns the status, the output, and the module's name."""
    started = []
    monkeypatch.setattr(program, "_started", None)
    monkeypatch.setattr(runpy, "run_module", lambda module, **_: started.append((module, list(sys.argv))))
    monkeypatch.setattr(main_module.command, "run_main", lambda main: (main(), sys.exit(0)))

    def run(*words, start="/usr/bin/jaxae"):
        monkeypatch.setattr(sys, "argv", [start, *words])
        try:
            main_module.main()
        except SystemExit as end:
            return end.code, capsys.readouterr(), None
        return None, capsys.readouterr(), started.pop()

    return run


def test_without_a_command_all_are_listed_in_80_columns(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for words in ([], ["--help"]):
        status, (out, _), _ = run(*words)
        assert status == 0
        assert all(f"\n  {name} " in out for name in COMMANDS)
        assert max(map(len, out.splitlines())) <= 80
    assert out.count("  ") > len(COMMANDS)


def test_the_version(run):
    assert run("--version")[1].out == f"jaxae {__version__}\n"


@pytest.mark.parametrize("start", ["/usr/bin/jaxae", "/site-packages/jaxae/__main__.py"])
def test_a_command_gets_the_words_after_its_name(run, start):
    module, argv = run("train", "mnist-denoise", "--seed", "1", start=start)[2]
    assert (module, argv[1:]) == ("jaxae.experiments.mnist_denoise", ["--seed", "1"])
    words = ["jaxae"] if start.endswith("/jaxae") else ["python", "-m", "jaxae"]
    assert program.words_for(module) == [*words, "train", "mnist-denoise"]
    assert program.words_for("tests.stress") == ["python", "-m", "tests.stress"]


def test_without_the_program_a_module_is_started_by_its_name(monkeypatch):
    monkeypatch.setattr(program, "_started", None)
    assert program.words_for("jaxae.denoising") == ["python", "-m", "jaxae.denoising"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["denois", "x.png"], "there is no command 'denois'; did you mean denoise?"),
        (["train", "mnist"], "there is no command 'train mnist'; did you mean train mnist-denoise?"),
        (["train"], "there is no command 'train'; `jaxae` lists the commands"),
        (["zzz"], "there is no command 'zzz'; `jaxae` lists the commands"),
    ],
)
def test_an_unknown_command_ends_with_2_and_the_nearest_name(run, words, says):
    status, (_, err), _ = run(*words)
    assert (status, err) == (2, f"error: {says}\n")


def test_a_process_runs_a_command_under_its_name():
    done = alone("jaxae", "info", "--help", COLUMNS="80")
    assert done.status == 0, done.err
    assert done.out.startswith("usage: python -m jaxae info [-h]")
