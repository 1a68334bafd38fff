"""Where prepared data sets lie and which there are, told from their files alone: TFDS need not be imported for it."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jaxae import files
from jaxae.data import official
from jaxae.errors import UserError

SMALL = "_small"  # ends the name of an embedded data set's first fifth
EMBEDDED = tuple(name + end for name in ("digits", "photo_patches") for end in ("", SMALL))
_NAME = re.compile(r"(?P<name>\w+)(/(?P<config>[\w.-]+))?(:(?P<version>\d+\.\d+\.\d+))?", re.ASCII)
_VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)


class Entry(NamedTuple):
    """A data set as `list` shows it; `sizes` gives the examples per split of a prepared one."""

    name: str
    status: str
    sizes: dict[str, int]
    directory: Path | None


def default_data_dir() -> Path:
    """Where data sets are prepared: `$TFDS_DATA_DIR`, else a place of jaxae's own.

    In TFDS's own default place, what is prepared here would be in the way of a TensorFlow program, which asks TFDS for
    the same data set and cannot read array_record (tensorflow/datasets #11013).
    """
    if "TFDS_DATA_DIR" in os.environ:
        return Path(os.environ["TFDS_DATA_DIR"]).expanduser()
    return files.user_data() / "tensorflow_datasets"


def data_dirs(data_dir: Path | None) -> list[Path]:
    """Where prepared data sets are looked for: in `data_dir` alone, or by default in `default_data_dir` and TFDS's."""
    if data_dir is not None:
        return [data_dir]
    if "TFDS_DATA_DIR" in os.environ:
        return [default_data_dir()]
    return [default_data_dir(), Path.home() / "tensorflow_datasets"]


def find(name: str, data_dir: Path | None) -> Path | None:
    """The directory of the newest prepared version of `name` (`name[/config][:version]`), or None.

    It is looked for in each of `data_dirs` in turn.
    """
    places = (_find(name, place) for place in data_dirs(data_dir))
    return next((found for found in places if found is not None), None)


def _find(name: str, data_dir: Path) -> Path | None:
    match = _NAME.fullmatch(name)
    if match is None:
        raise UserError(f"{name!r} is no data set's name: use NAME, NAME/CONFIG, folder:PATH or pairs:NOISY,CLEAN")
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


def available(data_dir: Path | None = None) -> list[Entry]:
    """What is prepared in `data_dirs`, and what can be prepared here without TensorFlow; sorted by name."""
    entries = {name: Entry(name, "embedded, made on first use", {}, None) for name in EMBEDDED}
    entries |= {name: Entry(name, "can be downloaded", {}, None) for name in official.BUILDERS}
    for place in reversed(data_dirs(data_dir)):  # what is found first counts
        entries |= {entry.name: entry for entry in _prepared(place)}
    return sorted(entries.values())


def _prepared(data_dir: Path) -> Iterator[Entry]:
    parents = sorted(data_dir.iterdir()) if data_dir.is_dir() else []
    for parent in [child for first in parents if first.is_dir() for child in (first, *sorted(first.iterdir()))]:
        if not _versions(parent):
            continue
        name = parent.relative_to(data_dir).as_posix()
        directory = _find(name, data_dir)
        try:
            splits = json.loads(_info_file(directory).read_bytes())["splits"]
            sizes = {str(split["name"]): sum(map(int, split.get("shardLengths", []))) for split in splits}
            yield Entry(name, "prepared", sizes, directory)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            yield Entry(name, "damaged: delete it and prepare it again", {}, directory)
