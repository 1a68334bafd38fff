"""Try many cases and write the record: see `tests.stress.fuzz`."""

import argparse
import datetime
import importlib.metadata
import json
import platform
import shlex
import sys
import tempfile
import time
from pathlib import Path

from jaxae.command.quiet import quieten
from tests.stress.fuzz.bench import bench
from tests.stress.fuzz.kinds import KINDS, share


def main() -> None:
    """Fuzz as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.fuzz", description="Try generated inputs.")
    parser.add_argument("--cases", type=int, default=5000, help="in all")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--record", type=Path, help="where the record is written")
    options = parser.parse_args()
    quieten()  # as a command's process is
    counts, rows = share(options.cases, options.kinds), []
    with tempfile.TemporaryDirectory() as work, bench(Path(work).resolve()) as place:
        for kind, count in counts.items():
            began = time.monotonic()
            KINDS[kind].check(place, count)
            row = {"kind": kind, "cases": count, **place.seen, "seconds": round(time.monotonic() - began, 1)}
            rows.append(row)
            print(row, flush=True)
    record = {
        "cases": sum(counts.values()),
        "command": shlex.join(["python", "-m", "tests.stress.fuzz", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("jax", "hypothesis", "numpy", "pillow")},
        "kinds": rows,
    }
    if options.record:
        options.record.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
