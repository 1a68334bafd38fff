"""Files that are written atomically, and locks that end with the process that holds them."""

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxae.errors import UserError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write a file or directory to, which replaces `path` at the end of the block.

    A reader sees the old file or the new one, never a part. If the block fails nothing is left behind. The new file is
    on the disk when this returns, so that it survives a power cut.
    """
    temporary = path.with_name(_shortened(f".{os.getpid()}-{path.name}"))
    try:
        yield temporary
        sync_tree(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # such as a full disk: Python does not name the file
            error.filename = str(path)
        raise
    finally:
        if temporary.is_dir():
            _remove(temporary)
        else:
            temporary.unlink(missing_ok=True)


def _shortened(name: str) -> str:
    """A name of at most 255 bytes, as file systems have them."""
    return name if len(os.fsencode(name)) < 256 else os.fsencode(name)[:250].decode(errors="ignore")


def _remove(folder: Path, seconds: float = 1.0) -> None:
    """Remove `folder`, and what TensorStore's threads, which cannot be joined, still write there after a failure."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)


def user_cache() -> Path:
    """Return the directory for what jaxae can make again, in the user's cache directory."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("jaxae"))


def user_data() -> Path:
    """Return the default directory for data sets, in the user's data directory."""
    import platformdirs

    return Path(platformdirs.user_data_dir("jaxae"))


def sync(path: Path) -> None:
    """Write the file `path`, or the entries of the directory `path`, through to the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # the file system does not support it
            raise
    finally:
        os.close(opened)


def sync_tree(path: Path) -> None:
    """`sync` a file, or a directory with all of its content, the content first."""
    for folder, _, names in os.walk(path, topdown=False):
        for name in names:
            sync(Path(folder, name))
        sync(Path(folder))
    if path.is_file():
        sync(path)


def unfinished(places: Iterable[Path]) -> list[Path]:
    """Return the temporary files of ended processes that were `replacing` the files `places`."""
    wanted, found = set(places), []
    for folder in {place.parent for place in wanted}:
        for path in folder.iterdir() if folder.is_dir() else ():
            match = re.fullmatch(r"\.(\d+)-(.+)", path.name, flags=re.DOTALL)
            if match and folder / match[2] in wanted and path.is_file() and not _is_running(int(match[1])):
                found.append(path)
    return found


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON atomically."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, kind: Any, remedy: str) -> Any:
    """Return the content of a JSON file as a `kind`: a dataclass or a type such as ``dict[str, int]``.

    Raises:
        UserError: if it cannot be read or is something else; `remedy` tells what to do about it.
    """
    import msgspec  # the core works without it

    try:
        return msgspec.convert(json.loads(path.read_bytes()), kind)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}; {remedy}") from error


@contextlib.contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold the lock on an existing file or directory until the block or the process ends.

    Args:
        path: the file or directory.
        wait: whether to wait for another process that holds the lock.

    Raises:
        BlockingIOError: if another process holds it, unless `wait`.
        OSError: if the file system cannot lock.
    """
    held = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(held)


def name_some(paths: Sequence[object], count: int = 10) -> str:
    """Return the first `count` paths as text, and how many more there are."""
    more = f" and {len(paths) - count:,} more" if len(paths) > count else ""
    return ", ".join(map(str, paths[:count])) + more
