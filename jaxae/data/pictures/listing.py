"""The pictures in a folder and in those below it. Hidden files are skipped, and files of other kinds counted."""

import os
from collections import Counter
from pathlib import Path

from jaxae.data.pictures.formats import SUFFIXES
from jaxae.errors import UserError

# Besides what begins with a dot: thumbnails, waste bins and notes of network drives and other systems.
_HIDDEN = {"@eadir", "@recycle", "#recycle", "$recycle.bin", "__macosx", "lost+found", "thumbs.db", "desktop.ini"}


def list_pictures(folder: Path, out: Path | None = None) -> tuple[list[Path], str]:
    """The pictures below `folder`, known by their suffixes, and its other files as text, such as "3 .heic, 1 .txt".

    Hidden folders and files are skipped, and so is the folder `out`. Links to folders are followed, after the folders
    beside them. Each folder is entered once.

    Raises:
        UserError: There is no such folder, or no picture.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}: name the one that holds the pictures")
    pictures, counts = [], Counter()
    entered = set() if out is None else {os.path.realpath(out)}
    for place, folders, names in os.walk(folder, onerror=_fail, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = [] if real in entered else sorted(filter(_is_shown, folders))
        folders.sort(key=lambda name, place=place: os.path.islink(os.path.join(place, name)))
        for path in [Path(place, name) for name in names if _is_shown(name) and real not in entered]:
            if path.suffix.lower() in SUFFIXES and path.is_file():
                pictures.append(path)
            else:  # links to nothing and devices, too
                counts[path.suffix.lower() or "without suffix"] += 1
        entered.add(real)
    others = ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(counts.items()))
    if not pictures:
        raise UserError(f"{folder} holds no picture that can be read{f': {others}' if others else ''}")
    return sorted(pictures), others


def _fail(error: OSError) -> None:
    raise error


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _HIDDEN


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
            pictures, others = list_pictures(path, out if inside else None)
            if others:
                left.append(f"left out of {path}, no pictures that can be read: {others}")
            named = {out / file.relative_to(path): file for file in pictures}
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
