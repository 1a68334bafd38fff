"""Long jobs, and whether they stay as fast and as small as they begin: a program for the record.

    python -m tests.stress.soak --record tests/stress/records/soak.json

Seconds and memory of each tenth of the job, from the second on compared: time by the median epoch or picture, memory by
the most that the process has held.
"""

import argparse
import datetime
import importlib.metadata
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxae.command import machine
from tests.small_run import write_run
from tests.training_run import launch, make_images, saved, start


def resident(process: int) -> float:
    """MiB that a process holds now; 0 where it has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * 4096 / 2**20


def watch(process: subprocess.Popen, progress: Callable[[], int], total: int) -> dict[str, Any]:
    """Seconds and memory of each tenth of `total`, as `progress` shows it, until `process` ends."""
    marks, began, most, said = [], time.monotonic(), 0.0, []
    reader = threading.Thread(target=lambda: said.append(process.communicate()[0]))  # or a full pipe would stop it
    reader.start()
    while process.poll() is None:
        most = max(most, resident(process.pid))
        while len(marks) < 10 and progress() >= total * (len(marks) + 1) // 10:
            marks.append((time.monotonic() - began, most))
            most = resident(process.pid)
        time.sleep(0.02)
    reader.join()
    assert process.returncode == 0, said
    tenths = np.diff([0.0, *(seconds for seconds, _ in marks)])
    memory = [mib for _, mib in marks]
    return {
        "total": total,
        "seconds": round(time.monotonic() - began, 1),
        "seconds_of_each_tenth": [round(float(seconds), 2) for seconds in tenths],
        "mib_of_each_tenth": [round(mib) for mib in memory],
    }


def flat(values: list[float]) -> float:
    """How much more the last three are than the first three after the first, as a share."""
    return round(statistics.median(values[-3:]) / statistics.median(values[1:4]) - 1, 3)


def epochs(work: Path, count: int) -> dict[str, Any]:
    """A run of many short epochs; what each cost it has taken down itself."""
    images, run_dir = work / "images", work / "run"
    make_images(images)
    record = watch(start(images, run_dir, count), lambda: saved(run_dir), count)
    history = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    speeds = [1 / line["images_per_second"] for line in history]
    tenths = [statistics.median(part) for part in np.array_split(speeds, 10)]
    return record | {"growth_of_a_step": flat(tenths)}


def members(work: Path, count: int) -> dict[str, Any]:
    """A sweep of many networks: its epochs, and the members that are finished one after another."""
    images, folder = work / "images", work / "sweep"
    make_images(images)
    words = ("--data.name", f"folder:{images}", "--train.batch-size", 32, "--train.epochs", 2)
    process = launch("jaxae.experiments.sweep", *words, "--seeds", f"0..{count - 1}", "--run-dir", folder)
    return watch(process, lambda: len(list(folder.glob("*/report.html"))), count)


def pictures(work: Path, count: int) -> dict[str, Any]:
    """A folder of many small pictures through `denoise`."""
    write_run(work / "run", "cifar")
    (work / "pictures").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    for number in range(count):
        Image.fromarray(np.roll(pixels, number, axis=0)).save(work / "pictures" / f"{number:05}.png", compress_level=1)
    out = work / "out"

    def written() -> int:
        return len(list(out.iterdir())) if out.is_dir() else 0

    return watch(launch("jaxae.denoising", work / "run", work / "pictures", "--out", out), written, count)


def large(work: Path, megapixels: int) -> dict[str, Any]:
    """One large picture through `denoise`."""
    write_run(work / "run", "cifar")
    side = int((megapixels * 1e6) ** 0.5)
    pixels = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8)
    tiles = -(-side // 1024)
    Image.fromarray(np.tile(pixels, (tiles, tiles, 1))[:side, :side]).save(work / "large.tif")
    process = launch("jaxae.denoising", work / "run", work / "large.tif", "--out", work / "out")
    began, most = time.monotonic(), 0.0
    while process.poll() is None:
        most = max(most, resident(process.pid))
        time.sleep(0.02)
    said = process.communicate()[0]
    assert process.returncode == 0, said
    return {"megapixels": megapixels, "seconds": round(time.monotonic() - began, 1), "most_mib": round(most)}


JOBS = {"epochs": (epochs, 2000), "members": (members, 300), "pictures": (pictures, 20_000), "large": (large, 150)}


def main() -> None:
    """Soak as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.soak", description="Run long jobs and watch them.")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS))
    parser.add_argument("--share", type=float, default=1.0, help="of the sizes that the record has")
    parser.add_argument("--record", type=Path, help="where the record is written")
    options = parser.parse_args()
    record: dict[str, Any] = {
        "command": shlex.join(["python", "-m", "tests.stress.soak", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "processor": machine.processor(),
        "jax": importlib.metadata.version("jax"),
    }
    for name in options.jobs:
        job, size = JOBS[name]
        with tempfile.TemporaryDirectory() as work:
            record[name] = job(Path(work), max(10, round(size * options.share)))
        print(name, json.dumps(record[name]), flush=True)
    if options.record:
        options.record.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
