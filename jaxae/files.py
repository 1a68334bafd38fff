"""Files that are written atomically, and locks that end with the process that holds them, on any file system.

Some network file systems lack locks, `fsync` of directories or `rename`. What they refuse is dealt with here alone.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxae.errors import UserError

LOST = (errno.EIO, errno.ENOSPC, errno.EDQUOT)  # what `fsync` says of data; all else is that it cannot be called here
# NFS takes no lock on a directory (EBADF), since none can be opened for writing; Lustre may be mounted without `flock`
NO_LOCKS = (errno.EBADF, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
NO_RENAME = (errno.EPERM, errno.EACCES, errno.EXDEV, errno.EBUSY, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
LOCK = ".lock"  # in a directory on a file system without locks

_unfinished: set[Path] = set()  # what this process would leave behind if it ended now


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write a file or directory to, which replaces `path` at the end of the block.

    A reader sees the old file or the new one, never a part. If the block fails nothing is left behind. The new file is
    on the disk when this returns, so that it survives a power cut. A file system that refuses to rename gets a copy.
    """
    temporary = path.with_name(_shortened(f".{os.getpid()}-{path.name}"))
    _unfinished.add(temporary)
    try:
        yield temporary
        sync_tree(temporary)
        try:
            os.replace(temporary, path)
        except OSError as error:
            if error.errno not in NO_RENAME or path.is_dir():
                raise
            (shutil.copytree if temporary.is_dir() else shutil.copyfile)(temporary, path)
            sync_tree(path)
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
        _unfinished.discard(temporary)


def discard_unfinished() -> None:
    """Remove what `replacing` is writing and the locks that are files, before the process is ended where it stands."""
    for path in tuple(_unfinished):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _shortened(name: str) -> str:
    """A name of at most 255 bytes, as file systems have them."""
    return name if len(os.fsencode(name)) < 256 else os.fsencode(name)[:250].decode(errors="ignore")


def _remove(folder: Path, seconds: float = 1.0) -> None:
    """Remove `folder`, and what TensorStore's threads, which cannot be joined, still write there after a failure."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)


def local_path(text: str) -> Path:
    """Return the path `text` with ``~`` expanded.

    Raises:
        UserError: if it is a URL such as ``gs://bucket/x``, or there is no home directory.
    """
    if re.match(r"[A-Za-z][\w+.-]+:/", text):  # a `Path` has no double slash
        raise UserError(
            f"{text}: URLs are not supported: name a path on this machine, such as that of a mounted bucket"
        )
    expanded = os.path.expanduser(text)
    if re.match("~(/|$)", expanded):
        raise UserError(f"{text}: there is no home directory: set HOME, or name the path in full")
    return Path(expanded)


def user_cache() -> Path:
    """Return the directory for what jaxae can make again, in the user's cache directory."""
    import platformdirs

    return _user_directory(platformdirs.user_cache_dir)


def user_data() -> Path:
    """Return the default directory for data sets, in the user's data directory."""
    import platformdirs

    return _user_directory(platformdirs.user_data_dir)


def _user_directory(find: Callable[[str], str]) -> Path:
    """What `find` finds, or a private temporary directory for a user without a home, as in containers."""
    with contextlib.suppress(RuntimeError):
        if not (path := find("jaxae")).startswith("~"):
            return Path(path)
    folder = Path(tempfile.gettempdir(), f"jaxae-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise UserError(f"{folder} belongs to another user, and there is no home directory: set HOME")
    return folder


def sync(path: Path) -> None:
    """Write the file `path`, or the entries of the directory `path`, through to the disk where that is supported."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno in LOST:
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

    On a file system without locks a file stands for the lock, with the host and the number of the process. It outlives
    a process that is killed: the next one on that host takes it over.

    Args:
        path: the file or directory.
        wait: whether to wait for another process that holds the lock.

    Raises:
        BlockingIOError: if another process holds it, unless `wait`; `filename` is the file that stands for it, if any.
    """
    held = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, held)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            stack.enter_context(_lock_file(path / LOCK if path.is_dir() else path.with_name(path.name + LOCK), wait))
        yield


@contextlib.contextmanager
def _lock_file(path: Path, wait: bool) -> Iterator[None]:
    """Hold a lock that is the existence of the file `path`."""
    while True:
        try:
            with path.open("x") as file:
                file.write(f"{os.getpid()} {socket.gethostname()}\n")
            break
        except FileExistsError:
            process, _, host = path.read_text().strip().partition(" ") if path.exists() else ("", "", "")
            if host == socket.gethostname() and process.isdecimal() and not _is_running(int(process)):
                path.unlink(missing_ok=True)
            elif not wait:
                raise BlockingIOError(errno.EAGAIN, f"process {process} on {host} holds the lock", str(path)) from None
            else:
                time.sleep(0.5)
    _unfinished.add(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        _unfinished.discard(path)


def name_some(paths: Sequence[object], count: int = 10) -> str:
    """Return the first `count` paths as text, and how many more there are."""
    more = f" and {len(paths) - count:,} more" if len(paths) > count else ""
    return ", ".join(map(str, paths[:count])) + more
