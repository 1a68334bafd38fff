"""Modules of other people that register networks, recipes, data sources and the like: `--import MODULE`."""

import importlib
import os
import sys
from collections.abc import Iterable

from jaxae.errors import UserError

_imported: list[str] = []


def imported() -> tuple[str, ...]:
    """Return the names of the modules that `import_extension` has imported, in that order."""
    return tuple(_imported)


def forget() -> None:
    """Forget the names: a command imports its own, and another one may have run in this process before."""
    _imported.clear()


def require_extensions(names: Iterable[str]) -> None:
    """Raise a UserError that says how to import those of the modules `names` that are not."""
    if missing := [name for name in names if name not in _imported]:
        raise UserError(f"it needs modules of its own: add {' '.join(f'--import {name}' for name in missing)}")


def import_extension(name: str) -> None:
    """Import the module `name`, which may be in the working directory.

    Raises:
        UserError: if there is no such module, or its import fails.
    """
    if os.getcwd() not in sys.path:  # an installed command does not look there by itself
        sys.path.append(os.getcwd())
    try:
        importlib.import_module(name)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # whatever the module does
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"--import {name}: {reason}; name a module that Python finds from here") from error
    if name not in _imported:
        _imported.append(name)
