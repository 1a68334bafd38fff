"""How every command starts and how it fails: one line on stderr and a non-zero exit status, never a traceback."""

import errno
import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

from jaxae import files
from jaxae.command import accelerator, stopping
from jaxae.errors import UserError

EXIT_USER_ERROR = 2
EXIT_BROKEN_PIPE = 141  # what a shell reports for a process ended by SIGPIPE
LESS = "end other programs, or give it fewer or smaller images"  # where a command names no better remedy
ROOM = "free some space there or name another directory"
REMEDIES = {
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EFBIG: "raise the limit on the size of files (ulimit -f) or name another directory",
    errno.EACCES: "get the right to it or name another",
    errno.EPERM: "get the right to it or name another",
    errno.EROFS: "name another place, with --out or --run-dir",
}


def parse(arguments: type, *, description: str | None = None, default: Any = None) -> Any:
    """The command line as an instance of the dataclass `arguments`; tyro refuses what is none, with status 2."""
    import tyro

    kwargs = {} if default is None else {"default": default}
    module = getattr(sys.modules["__main__"], "__spec__", None)
    prog = f"python -m {module.name.removesuffix('.__main__')}" if module is not None else None
    return tyro.cli(arguments, prog=prog, description=description, **kwargs)


def run_main(main: Callable[[], None], less: str = LESS) -> NoReturn:
    """Run a command's `main` and end the process with its status; a warning is one line too.

    less: what to do where memory is out.
    """
    warnings.showwarning = lambda message, *_, **__: print(f"warning: {_one_line(message)}", file=sys.stderr)
    stopping.install()
    accelerator.hide_missing_tpu()
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        fail(error)
    except BrokenPipeError:  # whoever read the output, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_BROKEN_PIPE)
    except OSError as error:
        if error.errno is None:
            raise
        where = f" at {error.filename}" if error.filename else ""
        fail(
            f"{os.strerror(error.errno).lower()}{where}; {REMEDIES.get(error.errno, 'name another file or directory')}"
        )
    except MemoryError:
        fail(f"out of memory; {less}")
    except Exception as error:
        if isinstance(error, RuntimeError) and str(error).startswith("RESOURCE_EXHAUSTED"):  # how JAX says it
            fail(f"the device is out of memory; {less}")
        if (line := accelerator.explain(error)) is None:
            raise
        fail(line)
    except KeyboardInterrupt as stop:
        number = stop.number if isinstance(stop, stopping.Stopped) else signal.SIGINT
        print(stopping.farewell(), file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(128 + number)  # JAX would first wait for what the device is computing
    sys.exit(0)


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def fail(message: object) -> NoReturn:
    """Print one line and leave with the status of a user's error."""
    print(f"error: {_one_line(message)}", file=sys.stderr)
    sys.exit(EXIT_USER_ERROR)


def enable_compilation_cache() -> None:
    """Keep compiled programs between runs, in ``$JAX_COMPILATION_CACHE_DIR`` or the user's cache directory.

    Raises UserError where JAX is set up so that no program can be compiled.
    """
    import jax

    if line := accelerator.refuse_impossible():
        raise UserError(line)
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(files.user_cache() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)  # reading one back takes 0.02
