"""What every command does: read its options, end with one line and a status, keep compiled programs.

A line on standard error and status 2 stand for an error that the user can mend, 130 and 143 for a signal.
"""

import contextlib
import errno
import io
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from jaxae import config, extensions, files
from jaxae.command import accelerator, stopping
from jaxae.errors import UserError

T = TypeVar("T")

EXIT_USER_ERROR = 2
EXIT_BROKEN_PIPE = 141  # what a shell reports for a process ended by SIGPIPE
MEMORY_REMEDY = "end other programs, or give it fewer or smaller images"  # where a command names no better remedy
SPACE_REMEDY = "free some space there or name another directory"
PERMISSION_REMEDY = "get the permission or name another file or directory"
REMEDIES = {errno.ENOSPC: SPACE_REMEDY, errno.EDQUOT: SPACE_REMEDY, errno.EACCES: PERMISSION_REMEDY}
REMEDIES[errno.EFBIG] = "raise the limit on the size of files (ulimit -f) or name another directory"
EXTENSION_OPTION = "--import"
EPILOG = "--import MODULE loads a module that registers networks, recipes, data sources, ... (see CONTRIBUTING.md)"

_flags: dict[str, str] = {}  # options of this command by the names of arguments that stand for them


def parse_arguments(arguments: type[T], *, description: str | None = None, default: T | None = None) -> T:
    """Return the command line as an instance of the dataclass `arguments`; tyro refuses what is none, with status 2.

    Modules named with ``--import`` are imported first.
    """
    import tyro

    name_options(config.Config(), config.Launch())  # for errors in the options themselves
    words = _import_extensions(sys.argv[1:])
    module = getattr(sys.modules["__main__"], "__spec__", None)
    prog = f"python -m {module.name.removesuffix('.__main__')}" if module is not None else None
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
    return parsed


def _import_extensions(words: list[str]) -> list[str]:
    """Import the modules that `words` name, and return the other words."""
    rest, following = [], iter(words)
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
    return ["python", "-m", module, *imports]


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
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {with_options(message)}", file=sys.stderr)
    stopping.install()
    accelerator.hide_missing_tpu()
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        fail(error)
    except BrokenPipeError:  # the reader of the output, such as `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_BROKEN_PIPE)
    except OSError as error:
        if error.errno is None:
            raise
        where = f" at {error.filename}" if error.filename else ""
        remedy = REMEDIES.get(error.errno, "name another file or directory")
        fail(f"{os.strerror(error.errno).lower()}{where}; {remedy}")
    except MemoryError:
        fail(f"out of memory; {memory_remedy}")
    except Exception as error:
        if isinstance(error, RuntimeError) and str(error).startswith("RESOURCE_EXHAUSTED"):  # how JAX says it
            fail(f"the device is out of memory; {memory_remedy}")
        if (line := accelerator.explain(error)) is None:
            raise
        fail(line)
    except KeyboardInterrupt as stop:
        number = stop.number if isinstance(stop, stopping.Stopped) else signal.SIGINT
        print(stopping.farewell(), file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(128 + number)  # JAX would first wait for what the device is computing
    sys.exit(0)


def fail(message: object) -> NoReturn:
    """Print one line and exit with the status of a user error."""
    print(f"error: {with_options(message)}", file=sys.stderr)
    sys.exit(EXIT_USER_ERROR)


def enable_compilation_cache() -> None:
    """Keep compiled programs between runs, in ``$JAX_COMPILATION_CACHE_DIR`` or the user's cache directory."""
    import jax

    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_compilation_cache_dir", str(files.user_cache() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)  # reading one back takes 0.02
