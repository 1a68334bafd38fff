"""Which noisy file belongs to which clean one, by their names."""

import re
from pathlib import Path
from typing import NamedTuple

from jaxae.errors import UserError

_PREFIX, _SUFFIX = re.compile(r"[^_\-. ]+[_\-. ]"), re.compile(r"[_\-. ][^_\-. ]+$")
NAMED = 10  # files without a partner that are named before the others are only counted


class Matched(NamedTuple):
    """Pairs (noisy, clean) in the order of the noisy ones, what was left aside of the names, and who has no partner."""

    pairs: list[tuple[Path, Path]]
    how: str  # in words, empty where the names are the same
    alone: list[Path]  # noisy ones, then clean ones

    def describe_alone(self) -> str:
        """Who has no partner, in words; empty where everyone has one."""
        more = f" and {len(self.alone) - NAMED:,} more" if len(self.alone) > NAMED else ""
        return ", ".join(str(path) for path in self.alone[:NAMED]) + more


def match(noisy: list[Path], clean: list[Path]) -> Matched:
    """Match paths within two folders by all but their suffixes.

    A word that all names of a side begin with (``noisy_``) or end in (``_gt``) is left aside where that makes more
    pairs. Raises UserError where no two belong together, or two files of one side to the same of the other.
    """
    choices = []
    for strip_noisy in _affixes(noisy):
        for strip_clean in _affixes(clean):
            by_key = {_key(path, strip_clean): path for path in clean}
            keys = [_key(path, strip_noisy) for path in noisy]
            found = len(set(keys) & by_key.keys())
            choices.append((found, -bool(strip_noisy) - bool(strip_clean), strip_noisy, strip_clean))
    found, _, strip_noisy, strip_clean = max(choices, key=lambda choice: choice[:2])
    if not found:
        raise UserError(
            f"no noisy file has a clean one of the same name, as {noisy[0]} and {clean[0]} would be called alike "
            "but for their suffixes, or a word before or behind"
        )
    by_key = _unique(clean, strip_clean)
    pairs = [(path, by_key[key]) for key, path in _unique(noisy, strip_noisy).items() if key in by_key]
    sides = (strip_noisy, "noisy"), (strip_clean, "clean")
    named = [f"{affix!r} of the {side} ones" for affix, side in sides if affix]
    how = f", {' and '.join(named)} left aside" if named else ""
    lonely = [path for path in noisy if path not in {one for one, _ in pairs}]
    lonely += [path for path in clean if path not in {other for _, other in pairs}]
    return Matched(pairs, how, lonely)


def _affixes(paths: list[Path]) -> list[str]:
    """Nothing, and the words that all names begin with or end in, where there are such."""
    stems, found = [path.stem for path in paths], [""]
    for word in (_PREFIX.match(stems[0]), _SUFFIX.search(stems[0])):
        if word and len({_without(stem, word[0]) for stem in stems} - {""}) == len(set(stems)):
            found.append(word[0])
    return [affix for affix in found if all(_without(stem, affix) != stem for stem in stems) or not affix]


def _without(stem: str, affix: str) -> str:
    return stem.removeprefix(affix) if _PREFIX.fullmatch(affix) else stem.removesuffix(affix)


def _key(path: Path, affix: str) -> str:
    return (path.parent / (_without(path.stem, affix) if affix else path.stem)).as_posix()


def _unique(paths: list[Path], affix: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        key = _key(path, affix)
        if key in found:
            raise UserError(f"{found[key]} and {path} are called alike but for their suffixes: which one is meant?")
        found[key] = path
    return found
