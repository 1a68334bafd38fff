import errno
import re
import subprocess
import sys
import warnings
from dataclasses import dataclass, field

import pytest

from jaxae import command, extensions, networks
from jaxae.command import machine
from jaxae.config import Config, Launch
from jaxae.errors import UserError


@dataclass
class Nothing:
    """Nothing."""

    epochs: int = 1
    """How many."""


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
        (PermissionError(errno.EACCES, "no", "a"), "permission denied at a; get the permission or name another file"),
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
    monkeypatch.setattr(sys, "argv", ["command", "--epoch", "3"])
    with pytest.raises(SystemExit) as end:
        command.parse_arguments(Nothing)
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
    assert {name for name, _ in lines} >= {"jaxae.denoising", "jaxae.experiments.mnist_denoise", "jaxae.data"}
    assert all(len(text) > 10 for _, text in lines)


def test_the_processor_has_a_name():
    device = machine.device()
    assert device["platform"] == "cpu"
    assert device["kind"] == machine.processor() not in ("", "cpu")
    assert machine.versions(("numpy", "no-such-package"))["no-such-package"] is None


@pytest.fixture
def options(monkeypatch):
    """The options of an experiment's command, known to messages."""
    monkeypatch.setattr(command, "_flags", {})
    command.name_options(Config(), Launch())


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("`batch_size` 8: more than 7", "--train.batch-size 8: more than 7"),
        ("`train.batch_size` 8", "--train.batch-size 8"),
        ("`seed` -1", "--seed -1"),
        ("`data.range` 1 and `data.name`", "--data.range 1 and --data.name"),
        ("`resume` needs `run_dir`", "--resume needs --run-dir"),
        ("`num_processes`", "--distributed.num-processes"),
        ("`parallel` jit, or `placement` device", "--parallel jit, or --data.placement device"),
        ("neither `this_name` nor `python -m jaxae`", "neither `this_name` nor `python -m jaxae`"),
        ("two\n  lines", "two lines"),
    ],
)  # fmt: skip
def test_arguments_in_backticks_are_said_as_options(options, message, says):
    assert command.with_options(message) == says


def test_nested_arguments_are_named_as_on_the_command_line(monkeypatch):
    @dataclass
    class Export:
        out: str = "x"

    @dataclass
    class Arguments:
        command: Export = field(default_factory=Export)
        config: Config = field(default_factory=Config)

    monkeypatch.setattr(command, "_flags", {})
    command.name_options(Arguments())
    assert command.with_options("`out`, `epochs`, `kind`") == "--out, --train.epochs, --noise.kind"


def test_an_error_in_the_options_names_them(capsys, monkeypatch):
    def main():
        command.parse_arguments(Config)

    monkeypatch.setattr(sys, "argv", ["command", "--train.batch-size", "0"])
    status, said = outcome(main, capsys, monkeypatch)
    assert (status, said) == (2, "error: --train.batch-size 0: must be at least 1\n")


@pytest.fixture
def extension(tmp_path, monkeypatch):
    """A module in the working directory that registers a network."""
    (tmp_path / "a_module_of_mine.py").write_text(
        "from jaxae.networks import NETWORKS, CifarAutoencoder\n\n\n"
        "@NETWORKS.register('mine')\nclass Mine(CifarAutoencoder):\n    image_shape = (16, 16, 3)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(extensions, "_imported", [])
    yield "a_module_of_mine"
    sys.modules.pop("a_module_of_mine", None)
    networks.NETWORKS.pop("mine", None)


@pytest.mark.parametrize("form", [["--import", "{}"], ["--import={}"]])
def test_a_module_is_imported_before_the_options_are_read(form, extension, monkeypatch):
    words = [word.format(extension) for word in form]
    monkeypatch.setattr(sys, "argv", ["command", *words, "--epochs", "3", *words])
    assert command.parse_arguments(Nothing) == Nothing(3)
    assert extensions.imported() == (extension,)
    assert networks.resolve_name("auto", (16, 16, 3)) == "mine"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--import", "no_such_module_x"], "error: --import no_such_module_x: ModuleNotFoundError: No module named "),
        (["--import=no_such_module_x"], "error: --import no_such_module_x: ModuleNotFoundError: No module named "),
        (["--import", ""], "error: --import"),
        (["--import"], "error: --import: name a module\n"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_line(words, says, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["command", *words])
    monkeypatch.setattr(sys, "path", list(sys.path))
    status, said = outcome(lambda: command.parse_arguments(Nothing), capsys, monkeypatch)
    assert status == 2
    assert said.startswith(says)
    assert said.count("\n") == 1


def test_a_module_that_fails_or_takes_a_name_is_one_line(tmp_path, capsys, monkeypatch):
    (tmp_path / "fails_on_import.py").write_text("1 / 0\n")
    (tmp_path / "ends_the_program.py").write_text("import sys\n\nsys.exit(0)\n")
    (tmp_path / "takes_a_name.py").write_text(
        "from jaxae.networks import NETWORKS\n\nNETWORKS.register('mnist')(lambda: None)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    taken = "there already is a network 'mnist'"
    ended = ("ends_the_program", "SystemExit: 0")
    for name, says in (("fails_on_import", "ZeroDivisionError"), ended, ("takes_a_name", taken)):
        monkeypatch.setattr(sys, "argv", ["command", "--import", name])
        status, said = outcome(lambda: command.parse_arguments(Nothing), capsys, monkeypatch)
        assert status == 2
        assert says in said
        assert said.count("\n") == 1
    assert "fails_on_import" not in extensions.imported()
