"""What was read from a folder of pictures, kept in the user's cache directory so that the next command need not decode.

An entry knows the names, sizes and times of the files it was made from; anything new, and it is made anew.
"""

import contextlib
import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from jaxae import files

LIMIT = 2 * 10**9  # bytes, of one entry and of all of them
WORTH = 1.0  # seconds of reading; what takes less is not kept
VERSION = 1  # of how pictures become arrays: another one makes every entry anew


def directory() -> Path:
    """Where entries lie: in the user's cache directory."""
    return files.user_cache() / "folders"


def entry(folder: Path, settings: tuple) -> Path:
    """The file of the entry for `folder` read with `settings`."""
    name = json.dumps([os.path.realpath(folder), settings])
    return directory() / f"{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}.npz"


def state(stats: tuple) -> str:
    """A digest of the files and of what decodes them: an entry of another state is outdated."""
    import PIL

    return hashlib.sha256(repr((VERSION, PIL.__version__, stats)).encode(errors="surrogatepass")).hexdigest()


def load(path: Path, wanted: str) -> tuple[np.ndarray, dict[str, Any]] | None:
    """The images and notes of the entry `path`; None where there is none of the state `wanted`, or a damaged one."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            notes = json.loads(stored["notes"].tobytes())
            if notes.pop("state") != wanted:
                return None
            images = stored["images"]
        os.utime(path)  # used last
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile):
        return None
    return images, notes


def save(path: Path, state: str, images: np.ndarray, notes: dict[str, Any]) -> None:
    """Keep `images` and `notes`, unless they are too large; the entries used longest ago make room.

    A directory that cannot be written to only means that the next command decodes again.
    """
    if images.nbytes > LIMIT:
        return
    text = np.frombuffer(json.dumps(notes | {"state": state}).encode(), np.uint8)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, images=images, notes=text)
        _make_room(path)


def _make_room(newest: Path) -> None:
    """Delete the entries used longest ago until all take no more than LIMIT."""
    entries = sorted(newest.parent.glob("*.npz"), key=lambda file: file.stat().st_mtime_ns, reverse=True)
    total = 0
    for file in entries:
        total += file.stat().st_size
        if total > LIMIT and file != newest:
            file.unlink(missing_ok=True)
