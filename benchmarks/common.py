"""What the benchmarks share: equal conditions for every competitor, and how results are written down."""

import json
import os
import statistics
import sys
from pathlib import Path

from jaxae.command.machine import processor, versions

# Freed memory stays with the process. Else every step pays page faults for its large buffers, each library its own way.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**32)}


def same_allocator() -> None:
    """Start this program once more where it does not yet run with the allocator settings; children inherit them."""
    if any(os.environ.get(name) != value for name, value in ALLOCATOR.items()):
        os.environ.update(ALLOCATOR)
        os.execv(sys.executable, sys.orig_argv)


def machine() -> dict:
    """The processor, the load on it from elsewhere, and the versions that a figure depends on."""
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "versions": versions(("jax", "jaxlib", "flax", "optax", "numpy", "torch")),
    }


def paired_ratio(ours: list[float], theirs: list[float]) -> float:
    """The median over rounds of their seconds by ours: how many times faster we are."""
    return statistics.median(b / a for a, b in zip(ours, theirs, strict=True))


def print_table(rows: list[dict], columns: dict[str, str]) -> None:
    """`rows` as an aligned table; `columns` maps a field to how it is formatted."""
    cells = [list(columns)] + [[format(row[name], spec) for name, spec in columns.items()] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def write_json(path: Path | None, result: dict) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=2) + "\n")
