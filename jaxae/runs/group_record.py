"""The record of a group of runs, such as a sweep: the configuration that they share."""

import dataclasses
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from jaxae import extensions, files
from jaxae.config import differences
from jaxae.errors import UserError

T = TypeVar("T")


def read_group(path: Path, kind: type[T]) -> T:
    """Return the configuration of a group of runs, which its record `path` holds.

    Raises:
        UserError: if there is none, or it is damaged.
    """
    try:
        record = dict(json.loads(path.read_bytes()))
        extensions.require_extensions(record.pop("imports", ()))
        return msgspec.convert(record, kind)
    except UserError as error:  # of a module that is missing: naming it is the remedy
        raise UserError(f"{path} cannot be read: {error}") from error
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}; name another `run_dir`") from error


def write_group(path: Path, config: Any) -> None:
    """Write the record of a group of runs."""
    files.write_json(path, dataclasses.asdict(config) | {"imports": extensions.imported()})


def check_group(path: Path, config: Any, ignored: Collection[str] = ()) -> None:
    """Refuse a directory that holds anything but the group of runs that `config` describes, recorded in `path`.

    Args:
        path: the record, which may be missing if the directory is, or is empty.
        config: the configuration.
        ignored: options that may have changed.
    """
    folder = path.parent
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        before = read_group(path, type(config))
        changed = [line for line in differences(before, config) if line.split()[0] not in ignored]
        if changed:
            raise UserError(f"{folder} holds other runs: {'; '.join(changed)}; name another `run_dir`")
