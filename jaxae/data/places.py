"""The directories of prepared data sets, found from their files alone, without importing TFDS."""

import json
import os
import re
from pathlib import Path
from typing import NamedTuple

from jaxae import files
from jaxae.data import official
from jaxae.data.dataset import SOURCES
from jaxae.errors import UserError

SMALL = "_small"  # ends the name of an embedded data set's first fifth
_MADE = "digits", "photo_patches", "photo_crops", "photo_crops_grey"
EMBEDDED = tuple(name + end for name in _MADE for end in ("", SMALL))
INFO = "dataset_info.json"
_NAME = re.compile(r"(?P<name>\w+)(/(?P<config>[\w.-]+))?(:(?P<version>\d+\.\d+\.\d+))?", re.ASCII)
_VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)


class Entry(NamedTuple):
    """A data set as `list` shows it.

    Attributes:
        name: The name for `open`.
        status: A phrase that tells whether it is prepared, or how it can be.
        sizes: The number of examples in each split of a prepared data set.
    """

    name: str
    status: str
    sizes: dict[str, int]


def default_data_dir() -> Path:
    """Where data sets are prepared: `$TFDS_DATA_DIR`, else a directory of jaxae.

    It is not TFDS's own default: a TensorFlow program that asks TFDS for the same data set would find it there, and
    cannot read array_record (tensorflow/datasets #11013).
    """
    return data_dirs(None)[0]


def data_dirs(data_dir: Path | None) -> list[Path]:
    """Where prepared data sets are searched: in `data_dir`, or by default in `default_data_dir` and TFDS's own."""
    if data_dir is None and (named := os.environ.get("TFDS_DATA_DIR")):
        data_dir = files.local_path(named)
    if data_dir is not None:
        return [data_dir]
    return [parent / "tensorflow_datasets" for parent in (files.user_data(), Path(os.path.expanduser("~")))]


def find_prepared(name: str, data_dir: Path | None) -> Path | None:
    """The directory of a prepared data set in the first of `data_dirs` that has it; None if none has.

    Args:
        name: `name[/config][:version]`; without a version the newest one is found.
        data_dir: As for `data_dirs`.

    Raises:
        UserError: `name` is not of that form, or names a data set with several configs.
    """
    places = (_find(name, place) for place in data_dirs(data_dir))
    return next((found for found in places if found is not None), None)


def _find(name: str, data_dir: Path) -> Path | None:
    match = _NAME.fullmatch(name)
    if match is None:
        known = ", ".join(f"{prefix}:PATH" for prefix in sorted(SOURCES) if prefix)
        raise UserError(f"{name!r} is no data set's name: use NAME, NAME/CONFIG or one of {known}")
    place = f"{match['name']}/{match['config']}" if match["config"] else match["name"]
    found = _versions(data_dir, place)
    if match["version"]:
        return next((directory for directory in found if directory.name == match["version"]), None)
    configs = sorted({f"{place}/{path.parent.name}" for path in _versions(data_dir, f"{place}/*")})
    if configs and not found and not match["config"]:
        raise UserError(f"data set {name} is prepared in parts: name one of {', '.join(configs)}")
    return found[-1] if found else None


def _versions(data_dir: Path, place: str) -> list[Path]:
    """The directories of prepared versions in `place`, a pattern, below `data_dir`, the newest last."""
    found = (file.parent for file in data_dir.glob(f"{place}/*/{INFO}"))
    versions = [path for path in found if _VERSION.fullmatch(path.name) and (path / "features.json").is_file()]
    return sorted(versions, key=lambda path: [int(part) for part in path.name.split(".")])


def available(data_dir: Path | None = None) -> list[Entry]:
    """The data sets prepared in `data_dirs`, and those that can be prepared without TensorFlow, sorted by name."""
    entries = {name: Entry(name, "embedded, made on first use", {}) for name in EMBEDDED}
    entries |= {name: Entry(name, "can be downloaded", {}) for name in official.OFFICIAL}
    for place in reversed(data_dirs(data_dir)):  # what is found first counts, and of that the newest version
        for directory in [*_versions(place, "*"), *_versions(place, "*/*")]:
            name = directory.parent.relative_to(place).as_posix()
            try:
                splits = json.loads((directory / INFO).read_bytes())["splits"]
                sizes = {str(split["name"]): sum(map(int, split.get("shardLengths", []))) for split in splits}
                entries[name] = Entry(name, "prepared", sizes)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                entries[name] = Entry(name, "damaged: delete it and prepare it again", {})
    return sorted(entries.values())
