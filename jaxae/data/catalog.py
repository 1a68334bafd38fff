"""Which data sets there are, where they lie, and how a missing one is prepared."""

import contextlib
import difflib
import errno
import fcntl
import io
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from jaxae.data import folder, official, reader
from jaxae.errors import UserError

EMBEDDED = ("digits", "dead_leaves")
_NAME = re.compile(r"(?P<name>\w+)(/(?P<config>[\w.-]+))?(:(?P<version>\d+\.\d+\.\d+))?", re.ASCII)
_VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)


class Resolved(NamedTuple):
    """The data set that will be used, and one sentence to show the user where it is not the one asked for."""

    name: str
    reason: str | None


class Entry(NamedTuple):
    """A data set as `list` shows it; `sizes` gives the examples per split of a prepared one."""

    name: str
    status: str
    sizes: dict[str, int]
    directory: Path | None


def default_data_dir() -> Path:
    """`$TFDS_DATA_DIR`, else TFDS's default place."""
    if "TFDS_DATA_DIR" in os.environ:
        return Path(os.environ["TFDS_DATA_DIR"]).expanduser()
    import tensorflow_datasets as tfds

    return Path(tfds.core.constants.get_default_data_dir()).expanduser()


def load(
    name: str, split: str, data_dir: Path | None = None, shape: tuple[int, int, int] = (32, 32, 3)
) -> UInt8[np.ndarray, "n height width channels"]:
    """The images of a split ("train" or "test"), prepared first if need be; values 0 to 255.

    `data_dir` is a TFDS data directory (default: see `default_data_dir`). `shape` is what the images of `folder:PATH`
    are cut and resized to; other data sets keep theirs. UserError where the data set is unknown or cannot be prepared,
    has no such split, or holds no images of one size.
    """
    if name.startswith(folder.PREFIX):
        return folder.load_folder(name, split, shape)[0]
    return reader.read_images(ensure(name, data_dir), split)


def load_labels(
    name: str, split: str, data_dir: Path | None = None, shape: tuple[int, int, int] = (32, 32, 3)
) -> Int[np.ndarray, " n"] | None:
    """The class labels that belong to `load`'s images, or None where the data set has none. Arguments as `load`."""
    if name.startswith(folder.PREFIX):
        return folder.load_folder(name, split, shape)[1]
    return reader.read_labels(ensure(name, data_dir), split)


def resolve(name: str, data_dir: Path | None = None, *, fallback: str = "digits", wanted: str = "mnist") -> Resolved:
    """What `name` stands for, prepared and ready to load.

    `auto` is `wanted` where it is prepared or can be downloaded now, else the embedded `fallback` with the reason. Any
    other name stands for itself; UserError where it cannot be had.
    """
    data_dir = data_dir or default_data_dir()
    if name != "auto":
        ensure(name, data_dir)
        return Resolved(name, None)
    try:
        ensure(wanted, data_dir)
    except UserError as error:
        ensure(fallback, data_dir)
        return Resolved(fallback, f"{error}; until then the embedded data set {fallback} stands in")
    return Resolved(wanted, None)


def ensure(name: str, data_dir: Path | None = None) -> Path:
    """The directory of the prepared data set `name`, which is prepared first if need be. Errors as `prepare`.

    For `folder:PATH` it is PATH; UserError if there are no two images in it.
    """
    if name.startswith(folder.PREFIX):
        return folder.find_images(name)[0]
    data_dir = data_dir or default_data_dir()
    return find(name, data_dir) or prepare(name, data_dir)


def find(name: str, data_dir: Path) -> Path | None:
    """The directory of the newest prepared version of `name` (`name[/config][:version]`), or None."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise UserError(f"{name!r} is no data set's name: use NAME, NAME/CONFIG or folder:PATH")
    parent = data_dir / match["name"] / (match["config"] or "")
    found = {directory.name: directory for directory in _versions(parent)}
    if match["version"]:
        return found.get(match["version"])
    if not found and not match["config"] and parent.is_dir():
        configs = sorted(child.name for child in parent.iterdir() if child.is_dir() and _versions(child))
        if configs:
            choice = ", ".join(f"{match['name']}/{config}" for config in configs)
            raise UserError(f"data set {name} is prepared in parts: name one of {choice}")
    return max(found.values(), key=lambda path: [int(part) for part in path.name.split(".")], default=None)


def _versions(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return [
        child
        for child in parent.iterdir()
        if _VERSION.fullmatch(child.name) and (child / "features.json").is_file() and _info_file(child).is_file()
    ]


def _info_file(directory: Path) -> Path:
    return directory / "dataset_info.json"


def prepare(name: str, data_dir: Path | None = None, from_dir: Path | None = None) -> Path:
    """Prepare the data set `name` in `data_dir` and return its directory; one that is prepared is left as it is.

    Official files are downloaded, or taken from the folder `from_dir`; their checksums are verified either way.
    UserError where the name is unknown, the files are missing, wrong or out of reach, or `data_dir` cannot be written.
    """
    data_dir = data_dir or default_data_dir()
    if name.startswith(folder.PREFIX):
        raise UserError(f"{name} needs no preparation: give it to --data.name as it is")
    if name in EMBEDDED:
        if from_dir is not None:
            raise UserError(f"data set {name} is made by this program: prepare it without --from")
    elif name not in official.BUILDERS:
        raise UserError(_why_not(name))
    elif from_dir is not None:
        official.check_folder(name, from_dir)
    if directory := find(name, data_dir):
        return directory
    if name in official.BUILDERS and from_dir is None and (trouble := official.unreachable(name)):
        raise UserError(
            f"data set {name} is not prepared in {data_dir} and {trouble}: connect to the network, or fetch its "
            f"official files and run `python -m jaxae.data prepare {name} --from DIR --data-dir {data_dir}`"
        )
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with _exclusive(data_dir / f".{name}.lock"):
            # Another process may have prepared it while this one waited.
            return find(name, data_dir) or _build(name, data_dir, from_dir)
    except OSError as error:
        if error.errno is None:
            raise
        raise UserError(
            f"cannot prepare {name} in {data_dir}: {os.strerror(error.errno).lower()}; "
            "make room or rights there, or name another directory with --data-dir"
        ) from error


def _build(name: str, data_dir: Path, from_dir: Path | None) -> Path:
    import requests
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    print(f"preparing data set {name} in {data_dir} (once)", file=sys.stderr)
    builder = _builder_class(name)(data_dir=str(data_dir), file_format="array_record")
    config = tfds.download.DownloadConfig(manual_dir=from_dir, try_download_gcs=False)
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS announces itself there
            builder.download_and_prepare(download_dir=str(data_dir / "downloads"), download_config=config)
    except NonMatchingChecksumError as error:
        raise UserError(f"a downloaded file of {name} is not the official one: {error}") from error
    except requests.RequestException as error:
        raise UserError(f"the download of {name} broke off ({error}); try again, or use --from DIR") from error
    except RuntimeError as error:
        if os.strerror(errno.ENOSPC) not in str(error):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error  # ArrayRecord's writer loses the number
    return Path(builder.data_dir)


def _builder_class(name: str):
    if name in official.BUILDERS:
        return official.builder_class(name)
    from jaxae.data import embedded

    return embedded.builder_class(name)


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process that holds it."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another process prepares this data set: waiting for {path}", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _why_not(name: str) -> str:
    import tensorflow_datasets as tfds

    base, _, config = name.partition("/")
    known = [*EMBEDDED, *official.BUILDERS]
    others = tfds.list_builders(with_community_datasets=False)
    if base in others:
        return (
            f"data set {name} is not prepared, and TFDS needs TensorFlow to prepare it: `pip install tensorflow`, then "
            f"`tfds build {name} --file_format=array_record`, with --data_dir where you keep your data"
        )
    close = difflib.get_close_matches(base, [*known, *others], n=1)
    meant = f"did you mean {close[0]}{'/' if config else ''}{config}?" if close else "`python -m jaxae.data list` helps"
    return f"there is no data set {name!r}; {meant}"


def available(data_dir: Path | None = None) -> list[Entry]:
    """What is prepared in `data_dir`, and what can be prepared here without TensorFlow; sorted by name."""
    data_dir = data_dir or default_data_dir()
    entries = {name: Entry(name, "embedded, made on first use", {}, None) for name in EMBEDDED}
    entries |= {name: Entry(name, "can be downloaded", {}, None) for name in official.BUILDERS}
    parents = sorted(data_dir.iterdir()) if data_dir.is_dir() else []
    for parent in [child for first in parents if first.is_dir() for child in (first, *sorted(first.iterdir()))]:
        if not _versions(parent):
            continue
        name = parent.relative_to(data_dir).as_posix()
        directory = find(name, data_dir)
        splits = json.loads(_info_file(directory).read_text())["splits"]
        sizes = {split["name"]: sum(map(int, split.get("shardLengths", []))) for split in splits}
        entries[name] = Entry(name, "prepared", sizes, directory)
    return sorted(entries.values())
