"""What every command does: read its options, end with one line and a status, keep compiled programs.

A line on standard error and status 2 stand for an error that the user can mend, 130 and 143 for a signal.
"""

import contextlib
import dataclasses
import errno
import io
import os
import re
import shlex
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from jaxae import config, extensions, files
from jaxae.command import accelerator, output, program, quiet, stopping
from jaxae.errors import UserError

T = TypeVar("T")

EXIT_USER_ERROR = 2
EXIT_BROKEN_PIPE = 141  # what a shell reports for a process ended by SIGPIPE
MEMORY_REMEDY = "end other programs, or give it fewer or smaller images"  # where a command names no better remedy
SPACE_REMEDY = "free some space there or name another directory"
LIMITS = dict.fromkeys((errno.ENOSPC, errno.EDQUOT), SPACE_REMEDY)  # whatever the file
LIMITS |= dict.fromkeys((errno.EFBIG, errno.EMFILE, errno.ENFILE), "raise the limit (ulimit -a)")
PERMISSION_REMEDY = "get the permission or name another file or directory"
REMEDIES = LIMITS | dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), PERMISSION_REMEDY)
EXTENSION_OPTION, DEBUG_OPTION = "--import", "--debug"
EPILOG = (
    f"{EXTENSION_OPTION} MODULE loads a module that registers networks, recipes, data sources, ... (see "
    f"CONTRIBUTING.md). {DEBUG_OPTION} shows the traceback of an error."
)

_flags: dict[str, str] = {}  # options of this command by the names of arguments that stand for them
_is_run = False  # whether this process runs a command, and not another program that uses the library


def parse_arguments(arguments: type[T], *, description: str | None = None, default: T | None = None) -> T:
    """Return the command line as an instance of the dataclass `arguments`; tyro refuses what is none, with status 2.

    Modules named with ``--import`` are imported first.
    """
    import tyro

    name_options(config.Config(), config.Launch())  # for errors in the options themselves
    words = _import_extensions(sys.argv[1:])
    prog = " ".join(program.own_words())
    about = f"{description or arguments.__doc__}\n\n{EPILOG}"
    start: dict[str, Any] = {} if default is None else {"default": default}
    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output):
            parsed = tyro.cli(arguments, args=words, prog=prog, description=about, **start)
    except SystemExit as end:
        error = end.__context__
        while error is not None and not isinstance(error, UserError):  # which tyro shows as it shows any ValueError
            error = error.__context__
        if error is not None:
            raise error from None
        print(output.getvalue(), end="", file=sys.stderr)
        raise
    name_options(parsed)
    return _with_local_paths(parsed)


def _with_local_paths(value: Any) -> Any:
    """Return `value`, the options of a command, with every path on this machine and ``~`` expanded."""
    if isinstance(value, Path):
        return files.local_path(str(value))
    if isinstance(value, tuple):
        return tuple(map(_with_local_paths, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: _with_local_paths(getattr(value, each.name)) for each in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return value


def _import_extensions(words: list[str]) -> list[str]:
    """Import the modules that `words` name, and return the words of the command itself."""
    extensions.forget()
    rest, following = [], iter(word for word in words if word != DEBUG_OPTION)
    for word in following:
        option, _, name = word.partition("=")
        if option != EXTENSION_OPTION:
            rest.append(word)
        elif name := name or next(following, ""):
            extensions.import_extension(name)
        else:
            raise UserError(f"{EXTENSION_OPTION}: name a module")
    return rest


def module_words(module: str) -> list[str]:
    """Return the words of a command line that run `module` with the modules that were imported by --import."""
    imports = [word for name in extensions.imported() for word in (EXTENSION_OPTION, name)]
    return [*program.words_for(module), *imports]


def command_line() -> str:
    """Return the command that this process runs; for a record."""
    return shlex.join([*program.own_words(), *sys.argv[1:]]) if _is_run else "called from Python"


def name_options(*options: Any) -> None:
    """Let messages name the fields of dataclass instances: `` `batch_size` `` becomes --train.batch-size."""
    found: dict[str, str] = {}
    for flag in [flag for each in options for flag in config.flags(each)]:
        parts = flag.removeprefix("--").replace("-", "_").split(".")
        while parts[0] in ("config", "launch", "command"):  # which have no name on the command line
            del parts[0]
        for start in range(len(parts)):
            found.setdefault(".".join(parts[start:]), "--" + ".".join(parts).replace("_", "-"))
    _flags.update(found)


def with_options(message: object) -> str:
    """Return `message` in one line, with options in place of the arguments in backticks."""
    text = " ".join(str(message).split())
    return re.sub(r"`([\w.]+)`", lambda found: _flags.get(found[1], found[0]), text)


def run_main(main: Callable[[], None], memory_remedy: str = MEMORY_REMEDY) -> NoReturn:
    """Run a command's `main` and end the process with its status; warnings are one line each.

    Args:
        main: the command.
        memory_remedy: what to do if memory runs out.
    """
    global _is_run
    _is_run = True
    stopping.install()
    output.open_streams()
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {with_options(message)}", file=sys.stderr)
    quiet.quieten()
    os.environ["MPLBACKEND"] = "agg"  # a notebook's may not exist here
    if len(os.environ.get("COLUMNS", "")) == 1:  # too narrow for rich, which prints nothing, and tyro, which never ends
        del os.environ["COLUMNS"]
    try:
        os.getcwd()
    except FileNotFoundError:
        fail("the working directory was deleted: change to another one")
    if "jax" in sys.modules:  # of the commands that compute
        enable_compilation_cache()
    try:
        try:
            main()
        finally:
            sys.stdout.flush()
    except UserError as error:
        fail(error)
    except OSError as error:
        if error.filename == output.STDOUT:
            output.close_stdout()
            if isinstance(error, BrokenPipeError):  # the reader, such as `head`, is gone
                sys.exit(EXIT_BROKEN_PIPE)
        if (line := _explain(error)) is None:
            raise
        fail(line)
    except MemoryError:
        fail(f"out of memory; {memory_remedy}")
    except Exception as error:
        if isinstance(error, RuntimeError) and str(error).startswith("RESOURCE_EXHAUSTED"):  # how JAX says it
            fail(f"the device is out of memory; {memory_remedy}")
        if (line := accelerator.explain(error)) is None:
            raise
        fail(line)
    except KeyboardInterrupt:
        stopping.end()
    sys.exit(0)


def _explain(error: OSError) -> str | None:
    """Return a line for an error of a user's own file, or of a limit; None for a fault within."""
    path = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes, os.PathLike)) else None
    packages = (str(Path(config.__file__).parent), os.sep + "site-packages", os.sep + "dist-packages")
    within = path is None or path.startswith("/proc/") or any(each in path for each in packages)
    if error.errno is None or (within and error.errno not in LIMITS):
        return None
    where = f" at {path}" if path else ""
    remedy = REMEDIES.get(error.errno, "name another file or directory")
    return f"{os.strerror(error.errno).lower()}{where}; {remedy}"


def fail(message: object) -> NoReturn:
    """Print one line and exit with the status of a user error."""
    if DEBUG_OPTION in sys.argv:
        traceback.print_exc()
    print(f"error: {with_options(message)}", file=sys.stderr)
    sys.exit(EXIT_USER_ERROR)


def enable_compilation_cache() -> None:
    """Keep compiled programs between runs, in ``$JAX_COMPILATION_CACHE_DIR`` or the user's cache directory."""
    import jax
    from jax._src import lru_cache

    def put(self: Any, key: str, value: bytes) -> None:
        """Write an entry atomically; one that is there already is damaged, since JAX has just compiled it."""
        files.write_bytes(Path(self.path) / f"{key}-cache", value)

    settings: Any = jax.config  # whose attributes are made at run time
    place = settings.jax_compilation_cache_dir or str(files.user_cache() / "xla")
    jax.config.update("jax_compilation_cache_dir", place)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)  # reading one back takes 0.02
    jax.config.update("jax_enable_preemption_service", False)  # it takes SIGTERM away from `stopping`
    if settings.jax_compilation_cache_max_size == -1 and "://" not in place:
        lru_cache.LRUCache.put = put  # JAX would write in place, and leave as it is what a killed process left
