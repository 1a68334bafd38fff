"""The pictures in a folder and in those below it. Hidden files are skipped, and files of other kinds counted."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jaxae.data.pictures.formats import SUFFIXES
from jaxae.errors import UserError

# Besides what begins with a dot: thumbnails, waste bins and notes of network drives and other systems.
_HIDDEN = {"@eadir", "@recycle", "#recycle", "$recycle.bin", "__macosx", "lost+found", "thumbs.db", "desktop.ini"}


class Listing(NamedTuple):
    """The files in a folder.

    Attributes:
        files: The pictures, sorted.
        others: The number of other files by suffix, links to nothing and devices included.
    """

    files: list[Path]
    others: dict[str, int]

    def describe_others(self) -> str:
        """The other files, such as "3 .heic, 1 .npy"."""
        return ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(self.others.items()))


def list_pictures(folder: Path, out: Path | None = None) -> Listing:
    """The pictures below `folder`, known by their suffixes.

    Hidden folders and files are skipped, and so is the folder `out`. Links to folders are followed. Each folder is
    entered once, under its own name if it has one below `folder`.
    """
    files, others = [], Counter()
    for file in _walk(folder, None if out is None else out.resolve()):
        if file.suffix.lower() in SUFFIXES and file.is_file():
            files.append(file)
        else:
            others[file.suffix.lower() or "without suffix"] += 1
    return Listing(sorted(files), dict(others))


def _walk(top: Path, out: Path | None) -> Iterator[Path]:
    seen: set[str] = set()
    folders, links = [top], []
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        real = os.path.realpath(folder)
        if real in seen or (out is not None and Path(real) == out):
            continue
        seen.add(real)
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.name.startswith(".") or entry.name.lower() in _HIDDEN:
                    continue
                if os.path.isdir(entry):  # `entry.is_dir` raises for a link to itself
                    (links if entry.is_symlink() else folders).append(folder / entry.name)
                else:
                    yield folder / entry.name


def find_pictures(inputs: tuple[Path, ...], out: Path) -> tuple[dict[Path, Path], list[str]]:
    """The pictures in files and folders, and the file below `out` for each.

    Args:
        inputs: Files and folders. A picture in a folder keeps its path below that folder.
        out: The folder of the outputs. It is skipped where it is below a folder of `inputs`.

    Returns:
        The output file of each picture, and a line for each folder with files of other kinds.

    Raises:
        UserError: An input is missing, a folder has no pictures, or two pictures have one output file.
    """
    found: dict[Path, Path] = {}  # the sources by output
    left: list[str] = []
    for path in inputs:
        if path.is_dir():
            inside = out.resolve() != path.resolve() and out.resolve().is_relative_to(path.resolve())
            listing = list_pictures(path, out if inside else None)
            others = listing.describe_others()
            if not listing.files:
                raise UserError(f"{path} holds no picture that can be read{f': {others}' if others else ''}")
            if others:
                left.append(f"left out of {path}, no pictures that can be read: {others}")
            named = {out / file.relative_to(path): file for file in listing.files}
        elif path.is_file():
            named = {out / path.name: path}
        else:
            raise UserError(f"there is no file or folder {path}")
        for place, source in named.items():
            if not found.setdefault(place, source).samefile(source):
                raise UserError(f"{found[place]} and {source} would both become {place}: denoise them in two goes")
    if not found:
        raise UserError("no pictures are named: give files or folders after the run's directory")
    return {source: place for place, source in found.items()}, left
