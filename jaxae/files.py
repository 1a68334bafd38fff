"""Files that are written whole, and locks that go with the process that holds them."""

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` at the end: a reader sees the old file or the new, never half of one.

    The same serves for a directory. Nothing is left behind where the block fails. What has become `path` is on the disk
    when this returns, and stays there through a power cut.
    """
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        sync_tree(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a full disk, say: of which file Python does not tell
            error.filename = str(path)
        raise
    finally:
        if temporary.is_dir():
            _remove(temporary)
        else:
            temporary.unlink(missing_ok=True)


def _remove(folder: Path, seconds: float = 1.0) -> None:
    """Remove `folder`, and what threads that nobody can wait for, TensorStore's, still write there after a failure."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)


def user_cache() -> Path:
    """Where jaxae keeps what it can make again: below the user's cache directory."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("jaxae"))


def user_data() -> Path:
    """Where jaxae puts data sets unless it is told otherwise: below the user's directory for data."""
    import platformdirs

    return Path(platformdirs.user_data_dir("jaxae"))


def sync(path: Path) -> None:
    """Have the system write the file `path`, or the names in the directory `path`, to the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that knows no such thing
            raise
    finally:
        os.close(opened)


def sync_tree(path: Path) -> None:
    """`sync` the file `path`; of a directory all that is in it, what is inside before what it is in."""
    for folder, _, names in os.walk(path, topdown=False):
        for name in names:
            sync(Path(folder, name))
        sync(Path(folder))
    if path.is_file():
        sync(path)


def unfinished(folder: Path, name: str) -> list[Path]:
    """What killed processes were `replacing` the file `name` in `folder` with."""
    found = folder.iterdir() if folder.is_dir() else ()
    return [path for path in found if re.fullmatch(rf"\.\d+-{re.escape(name)}", path.name)]


def clear_unfinished(places: Iterable[Path]) -> None:
    """Remove what processes that are no more were `replacing` the files `places` with."""
    wanted: dict[Path, set[str]] = {}
    for place in places:
        wanted.setdefault(place.parent, set()).add(place.name)
    for folder, names in wanted.items():
        for path in folder.iterdir() if folder.is_dir() else ():
            found = re.fullmatch(r"\.(\d+)-(.+)", path.name, flags=re.DOTALL)
            if found and found[2] in names and path.is_file() and not _is_running(int(found[1])):
                path.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content`, all of it or nothing."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, all of it or nothing."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, all of it or nothing."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextlib.contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold the lock on the file or directory `path`, which is there, until the block or the process ends.

    Raises BlockingIOError where another process holds it, unless `wait`; OSError where the file system cannot lock.
    """
    held = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(held)
