"""The kinds of cases, and how many of all are of each."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from tests.stress.fuzz import commands, directories, pictures, weights
from tests.stress.fuzz.bench import Bench


class Kind(NamedTuple):
    """How cases of a kind are tried."""

    check: Callable[[Bench, int], None]  # as many as are asked for
    weight: int  # among all kinds


KINDS = {
    "command lines of a run": Kind(commands.lines_of_a_run, 12),
    "data sets and directories": Kind(commands.places, 8),
    "command lines of other programs": Kind(commands.lines_of_other_programs, 14),
    "configurations": Kind(commands.configurations, 8),
    "figures of epochs": Kind(directories.histories, 6),
    "summaries": Kind(directories.summaries, 4),
    "checkpoints": Kind(directories.checkpoints, 4),
    "prepared data sets": Kind(directories.prepared, 4),
    "official files": Kind(directories.official_files, 10),
    "tables": Kind(directories.tables, 5),
    "image files": Kind(pictures.images, 8),
    "TIFF stacks": Kind(pictures.tiff_stacks, 6),
    "arrays as files": Kind(pictures.arrays_as_files, 5),
    "names that are not UTF-8": Kind(pictures.names, 4),
    "state dicts": Kind(weights.weights, 8),
    "pickles": Kind(weights.malicious, 4),
}


def share(cases: int, kinds: Iterable[str] = KINDS) -> dict[str, int]:
    """At least `cases` in all, spread over `kinds` by their weights."""
    total = sum(KINDS[kind].weight for kind in kinds)
    return {kind: -(-cases * KINDS[kind].weight // total) for kind in kinds}
