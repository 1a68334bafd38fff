"""Kill every job and write the record: see `tests.stress.kills`."""

import argparse
import datetime
import importlib.metadata
import json
import platform
import shlex
import sys
import tempfile
from pathlib import Path

from tests.stress.kills.jobs import (
    denoise_job,
    pmap_job,
    prepare_job,
    processes_job,
    rare_job,
    run_job,
    started_job,
    stream_job,
    sweep_job,
)
from tests.stress.kills.loop import kill_loop
from tests.training_run import make_images

SHARES = {
    "run": 0.2,
    "run with rare checkpoints": 0.1,
    "stream": 0.07,
    "pmap": 0.07,
    "run from other weights": 0.06,
    "sweep": 0.1,
    "two processes of a run": 0.1,
    "denoise": 0.16,
    "data prepare": 0.14,
}


def main() -> None:
    """Kill as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.kills", description="Kill programs again and again.")
    parser.add_argument("--kills", type=int, default=110, help="in all, shared out to the jobs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=80, help="of a run")
    parser.add_argument("--jobs", nargs="+", choices=SHARES, default=list(SHARES))
    parser.add_argument("--record", type=Path, help="where the record is written")
    options = parser.parse_args()
    record = {
        "command": shlex.join(["python", "-m", "tests.stress.kills", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "seed": options.seed,
        "python": platform.python_version(),
        "jax": importlib.metadata.version("jax"),
        "jobs": {},
    }
    with tempfile.TemporaryDirectory() as work:
        images = Path(work) / "images"
        make_images(images)
        for name in options.jobs:
            place = Path(work) / name.replace(" ", "-")
            place.mkdir()
            job = {
                "run": lambda: run_job(images, options.epochs),
                "run with rare checkpoints": lambda: rare_job(images, options.epochs),
                "stream": lambda: stream_job(images, options.epochs // 2),
                "pmap": lambda: pmap_job(images, options.epochs // 2),
                "run from other weights": lambda place=place: started_job(images, place, options.epochs // 8),
                "sweep": lambda: sweep_job(images, options.epochs // 2),
                "two processes of a run": lambda: processes_job(images, options.epochs // 2),
                "denoise": lambda place=place: denoise_job(place),
                "data prepare": prepare_job,
            }[name]()
            record["jobs"][name] = kill_loop(job, place, max(2, round(options.kills * SHARES[name])), options.seed)
            print(name, {key: value for key, value in record["jobs"][name].items() if key != "each"}, flush=True)
    record["kills"] = sum(job["kills"] for job in record["jobs"].values())
    if options.record:
        options.record.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
