"""Decoded images kept in .npz files, each with a key that tells whether it is outdated."""

import contextlib
import hashlib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from jaxae.files import replacing


def state_digest(files: Iterable[Path], *settings: Any) -> str:
    """A digest of `settings` and of the name, size and time of change of each file."""
    state = [(file.name, stat.st_size, stat.st_mtime_ns) for file in files for stat in [file.stat()]]
    return hashlib.sha256(repr((settings, state)).encode(errors="surrogatepass")).hexdigest()


def load_arrays(path: Path, key: str, *names: str) -> dict[str, np.ndarray] | None:
    """Those of the arrays `names` that `path` holds; None if the file is missing, damaged or has another key."""
    try:
        # A zip file carries a CRC of each member, which is verified as the member is read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in names if name in stored} if str(stored["key"]) == key else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError):
        return None


def save_arrays(path: Path, key: str, arrays: dict[str, np.ndarray], limit: int | None = None) -> None:
    """Keep `arrays`. On a full disk, or where the directory cannot be written, nothing is kept.

    Args:
        path: The file.
        key: What `load_arrays` asks for.
        arrays: The arrays by name.
        limit: Bytes that all files in the directory may take. The oldest are deleted to make room.
    """
    if limit is not None and sum(array.nbytes for array in arrays.values()) > limit:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, key=np.asarray(key), **arrays)  # pyright: ignore[reportArgumentType]
        entries = sorted(path.parent.glob("*.npz"), key=lambda entry: entry.stat().st_mtime_ns, reverse=True)
        sizes = np.cumsum([entry.stat().st_size for entry in entries])
        for entry, size in zip(entries, sizes, strict=True):
            if limit is not None and size > limit and entry != path:
                entry.unlink(missing_ok=True)
