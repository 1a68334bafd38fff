import errno
import os
import subprocess
import sys
import tomllib
import warnings
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

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


def undisturbed(monkeypatch):
    """Let `run_main` leave this process as it is."""
    monkeypatch.setattr(command.stopping, "install", lambda: None)
    monkeypatch.setattr(command.quiet, "quieten", lambda: None)
    monkeypatch.setattr(command, "enable_compilation_cache", lambda: None)
    monkeypatch.setattr(command, "_is_run", False)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setenv("MPLBACKEND", "agg")


def outcome(main, capsys, monkeypatch):
    """The status that `main` ends a command with, and what is said on standard error."""
    undisturbed(monkeypatch)
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
        (PermissionError(errno.EPERM, "no", b"a"), "operation not permitted at a; get the permission or"),
        (NotADirectoryError(errno.ENOTDIR, "no", "a"), "not a directory at a; name another file or directory"),
        (OSError(errno.EMFILE, "many"), "too many open files; raise the limit (ulimit -a)"),
        (MemoryError(), "error: out of memory; end other programs"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), "error: the device is out of memory; end other programs"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_status_2(error, says, capsys, monkeypatch):
    status, said = outcome(raising(error), capsys, monkeypatch)
    assert status == 2
    assert says in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("ours"),
        OSError(errno.ECONNRESET, "reset"),
        FileNotFoundError(errno.ENOENT, "missing", command.__file__),
        FileNotFoundError(errno.ENOENT, "missing", "/usr/lib/python3/site-packages/x/y"),
    ],
)
def test_a_fault_of_ours_is_not_hidden(error, monkeypatch):
    undisturbed(monkeypatch)
    with pytest.raises(type(error)):
        command.run_main(raising(error))


def test_debug_shows_the_traceback_of_a_line(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["command", "--epochs", "3", "--debug"])
    assert command.parse_arguments(Nothing) == Nothing(3)
    status, said = outcome(raising(UserError("no")), capsys, monkeypatch)
    assert status == 2
    assert said.startswith("Traceback")
    assert said.endswith("error: no\n")


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


def test_a_deleted_working_directory_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    says = "error: the working directory was deleted: change to another one\n"
    assert outcome(lambda: None, capsys, monkeypatch) == (2, says)


@dataclass
class Places:
    """Places."""

    @dataclass
    class Inner:
        place: Path | None = None

    inner: Inner = field(default_factory=Inner)
    places: tuple[Path, ...] = ()


@pytest.mark.parametrize("option", ["--inner.place={}", "--places={}"])
@pytest.mark.parametrize("given", ["s3://a/b", "gs://a/b", "file:///a"])
def test_a_url_is_refused_wherever_a_path_is_taken(option, given, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["command", option.format(given)])
    status, said = outcome(lambda: command.parse_arguments(Places), capsys, monkeypatch)
    assert status == 2
    assert "URLs are not supported: name a path on this machine" in said
    assert said.count("\n") == 1


def test_a_tilde_is_the_home_directory_wherever_it_stands(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setattr(sys, "argv", ["command", "--inner.place=~/x", "--places", "~", "~backup.png"])
    expected = Places(Places.Inner(Path("/home/me/x")), (Path("/home/me"), Path("~backup.png")))
    assert command.parse_arguments(Places) == expected


def test_a_record_names_the_command_or_that_there_was_none(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["a notebook's", "-f", "x.json"])
    assert command.command_line() == "called from Python"
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", ModuleSpec("jaxae.data.__main__", None))
    monkeypatch.setattr(sys, "argv", ["/path", "a b"])
    outcome(lambda: print(command.command_line(), file=sys.stderr), capsys, monkeypatch)
    assert command.command_line() == "python -m jaxae.data 'a b'"


TWICE = """
import pathlib, sys, warnings, jax
from jaxae import command

def compile():
    jax.clear_caches()
    jax.jit(lambda x: x + 1)(1.0)

command.enable_compilation_cache()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
compile()
[entry] = pathlib.Path(sys.argv[1]).iterdir()
whole = entry.read_bytes()
entry.write_bytes(whole[:100])
with warnings.catch_warnings(record=True) as seen:
    compile()
assert "Error reading persistent compilation cache" in str(seen[0].message)
warnings.simplefilter("error")
compile()
"""


def test_a_damaged_entry_of_the_compilation_cache_is_written_anew(tmp_path):
    variables = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "PYTHONPATH": "."}
    subprocess.run([sys.executable, "-c", TWICE, tmp_path], env=variables, check=True)


def test_commands_are_found_from_the_folder_that_holds_the_clone():
    """There a clone `jaxae` looks like a package; setuptools' editable installs come after it, hatchling's before."""
    assert tomllib.loads(Path("pyproject.toml").read_text())["build-system"]["build-backend"] == "hatchling.build"


def test_the_processor_has_a_name():
    device = machine.device()
    assert device["platform"] == "cpu"
    assert device["kind"] == machine.processor() not in ("", "cpu")
    assert machine.versions(("numpy", "no-such-package"))["no-such-package"] is None


@pytest.mark.parametrize(
    ("line", "group", "names", "limit", "free"),
    [
        ("0::/job\n", "", ("max", "current"), "1000", 800),
        ("0::/job/step\n", "job", ("max", "current"), "1000", 800),
        ("0::/job\n", "job", ("max", "current"), "max", 10_000),
        ("1:cpu:/a\n2:memory:/job\n", "memory/job", ("limit_in_bytes", "usage_in_bytes"), "500", 300),
        ("0::/job\n", "other", ("max", "current"), "1000", 10_000),
    ],
)
def test_free_memory_is_that_of_the_container(tmp_path, monkeypatch, line, group, names, limit, free):
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=10_000))
    folder = tmp_path / "sys/fs/cgroup" / group
    folder.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(line)
    (folder / f"memory.{names[0]}").write_text(f"{limit}\n")
    (folder / f"memory.{names[1]}").write_text("600\n")
    (folder / "memory.stat").write_text("anon 200\ninactive_file 300\nactive_file 100\n")
    assert machine.free_memory(tmp_path) == free


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
    monkeypatch.setattr(sys, "argv", ["command"])  # another command in the same process
    command.parse_arguments(Nothing)
    assert extensions.imported() == ()


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
