"""How every command starts and how it fails: one line on stderr and a non-zero exit status, never a traceback."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from jaxae.errors import UserError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130  # what a shell reports for a process ended by Ctrl-C


def parse(arguments: type, *, description: str | None = None, default=None):
    """The command line as an instance of the dataclass `arguments`; an unknown option ends the program."""
    import tyro

    kwargs = {} if default is None else {"default": default}
    module = getattr(sys.modules["__main__"], "__spec__", None)
    prog = f"python -m {module.name.removesuffix('.__main__')}" if module is not None else None
    return tyro.cli(arguments, prog=prog, description=description, **kwargs)


def run_main(main: Callable[[], None]) -> NoReturn:
    """Run a command's `main` and end the process with its status."""
    try:
        main()
    except UserError as error:
        fail(str(error))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT, errno.EPERM):
            raise
        where = f" while writing {error.filename}" if error.filename else ""
        fail(f"{error.strerror.lower()}{where}; free some space there or name another directory")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(0)


def fail(message: str) -> NoReturn:
    """Print one line and leave with the status of a user's error."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(EXIT_USER_ERROR)


def enable_compilation_cache() -> None:
    """Keep compiled programs between runs, in ``$JAX_COMPILATION_CACHE_DIR`` or the user's cache directory."""
    import jax

    if jax.config.jax_compilation_cache_dir is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(cache / "jaxae" / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
