"""Pairs of noisy and clean files, matched by their names."""

import re
from pathlib import Path
from typing import NamedTuple

from jaxae.errors import UserError


class Matched(NamedTuple):
    """Files matched by name.

    Attributes:
        pairs: A noisy and a clean file each, in the order of the noisy ones.
        how: A phrase that tells which words of the names were ignored; empty if none were.
        alone: Files without a partner: noisy ones, then clean ones.
    """

    pairs: list[tuple[Path, Path]]
    how: str
    alone: list[Path]


def match(noisy: list[Path], clean: list[Path]) -> Matched:
    """Match paths within two folders: equal ones first, then the others by all but their suffixes.

    A word that all names of one side begin with (`noisy_`) or end in (`_gt`) is ignored if that makes more pairs.

    Raises:
        UserError: There are no pairs, or a file has two partners.
    """
    listed, same = noisy, set(noisy) & set(clean)
    noisy, clean = ([path for path in paths if path not in same] for paths in (noisy, clean))
    choices = [(one, other) for one in _affixes(noisy) for other in _affixes(clean)]

    def count(affixes: tuple[str, str]) -> tuple[int, int]:
        shared = {_key(path, affixes[0]) for path in noisy} & {_key(path, affixes[1]) for path in clean}
        return len(shared), affixes.count("")

    best = max(choices, key=count)
    keyed: list[dict[str, Path]] = [{}, {}]
    for paths, affix, found in zip((noisy, clean), best, keyed, strict=True):
        for path in paths:
            if (twin := found.setdefault(_key(path, affix), path)) != path:
                raise UserError(f"{twin} and {path} are called alike but for their suffixes: which one is meant?")
    one, other = keyed
    partner = {path: path for path in same} | {path: other[key] for key, path in one.items() if key in other}
    pairs = [(path, partner[path]) for path in listed if path in partner]
    if not pairs:
        differ = f"{noisy[0]} and {clean[0]} differ by more than a suffix or a word that all names have"
        raise UserError(f"no noisy file has a clean one of the same name: {differ}")
    ignored = [f"{affix!r} of the {side} ones" for affix, side in zip(best, ("noisy", "clean"), strict=True) if affix]
    alone = [path for key, path in (*one.items(), *other.items()) if key not in one.keys() & other.keys()]
    return Matched(pairs, f", {' and '.join(ignored)} ignored" if ignored else "", alone)


def _affixes(paths: list[Path]) -> list[str]:
    """The empty word, and the words that all names begin with or end in, if the names differ without them too."""
    stems = {path.stem for path in paths}
    if not paths:
        return [""]
    words = re.match(r"[^_\-. ]+[_\-. ]", paths[0].stem), re.search(r"[_\-. ][^_\-. ]+$", paths[0].stem)

    def is_apart(word: str) -> bool:
        return len({rest for stem in stems if (rest := _without(stem, word)) not in ("", stem)}) == len(stems)

    return ["", *(word[0] for word in words if word and is_apart(word[0]))]


def _without(stem: str, affix: str) -> str:
    return stem.removesuffix(affix) if affix[:1] in ("_", "-", ".", " ") else stem.removeprefix(affix)


def _key(path: Path, affix: str) -> str:
    return (path.parent / _without(path.stem, affix)).as_posix()
