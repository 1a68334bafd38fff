import errno
import re
import subprocess
import sys
import warnings
from dataclasses import dataclass

import pytest

from jaxae import command
from jaxae.command import machine
from jaxae.errors import UserError


def outcome(main, capsys, monkeypatch):
    """The status that `main` ends a command with, and what is said on standard error."""
    monkeypatch.setattr(command.stopping, "install", lambda: None)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    with pytest.raises(SystemExit) as end:
        command.run_main(main)
    return end.value.code, capsys.readouterr().err


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (UserError("--seed x:\n no seed"), "error: --seed x: no seed\n"),
        (OSError(errno.ENOSPC, "full", "a/b"), "no space left on device at a/b; free some space there"),
        (PermissionError(errno.EACCES, "no", "a"), "permission denied at a; get the right to it"),
        (MemoryError(), "error: out of memory; end other programs"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), "error: the device is out of memory; end other programs"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_status_2(error, says, capsys, monkeypatch):
    status, said = outcome(raising(error), capsys, monkeypatch)
    assert status == 2
    assert says in said
    assert said.count("\n") == 1


def test_a_fault_of_ours_is_not_hidden(monkeypatch):
    monkeypatch.setattr(command.stopping, "install", lambda: None)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    with pytest.raises(RuntimeError, match="ours"):
        command.run_main(raising(RuntimeError("ours")))


def test_a_warning_is_one_line(capsys, monkeypatch):
    warnings.simplefilter("always")  # undone by pytest
    status, said = outcome(lambda: warnings.warn("so\nso", UserWarning, stacklevel=1), capsys, monkeypatch)
    assert (status, said) == (0, "warning: so so\n")


def test_a_command_line_that_is_none_is_refused_by_tyro(capsys, monkeypatch):
    @dataclass
    class Arguments:
        """Nothing."""

        epochs: int = 1
        """How many."""

    monkeypatch.setattr(sys, "argv", ["command", "--epoch", "3"])
    with pytest.raises(SystemExit) as end:
        command.parse(Arguments)
    assert end.value.code == 2
    assert "--epochs" in capsys.readouterr().err


def test_output_that_nobody_reads_any_more_ends_quietly():
    program = "from jaxae import command\ncommand.run_main(lambda: [print('x' * 1000) for _ in range(10_000)])"
    done = subprocess.run(
        f"{sys.executable} -c \"{program}\" | head -n 1; exit ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (141, "")


def test_every_command_is_listed_with_a_line():
    done = subprocess.run([sys.executable, "-m", "jaxae"], capture_output=True, text=True, check=True)
    lines = re.findall(r"python -m (jaxae\.[\w.]+) +(\S.*)", done.stdout)
    assert {name for name, _ in lines} >= {"jaxae.denoise", "jaxae.experiments.mnist_denoise", "jaxae.data"}
    assert all(len(text) > 10 for _, text in lines)


def test_the_processor_has_a_name():
    device = machine.device()
    assert device["platform"] == "cpu"
    assert device["kind"] == machine.processor() not in ("", "cpu")
    assert machine.versions(("numpy", "no-such-package"))["no-such-package"] is None
