"""A run that is killed again and again: a program for the tests, and for the record in `tests/records`.

    python -m tests.kills --kills 20 --record tests/records/kills.json

A folder of small images makes epochs of a tenth of a second, so that a checkpoint is being written most of the time.
Half of the kills come when Orbax's temporary directory is there, and so hit a save; others after a random time, from
the start of the process or from its first new epoch on, and the last when the summary of the whole run is being made.
"""

import argparse
import importlib.metadata
import itertools
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.process import environment

PROGRAM = "jaxae.experiments.mnist_denoise"
IMAGES, EPOCHS = 150, 80


def make_images(folder: Path) -> None:
    """Small pictures of squares; one in ten becomes a test image."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        image = np.zeros((28, 28), np.uint8)
        top, left, side = rng.integers(0, 14, 3)
        image[top : top + side + 6, left : left + side + 6] = rng.integers(100, 256)
        Image.fromarray(image).save(folder / f"{number:03}.png")


def start(folder: Path, run_dir: Path, epochs: int, *options: str) -> subprocess.Popen:
    """A run in a process of its own, on one CPU device."""
    arguments = ["--data.name", f"folder:{folder}", "--train.batch-size", "32", "--train.epochs", str(epochs)]
    return subprocess.Popen(
        [sys.executable, "-m", PROGRAM, *arguments, "--run-dir", str(run_dir), *options],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def saving(run_dir: Path) -> list[str]:
    """The checkpoints that are being written."""
    folder = run_dir / "checkpoints"
    return [name for name in os.listdir(folder) if "tmp" in name] if folder.is_dir() else []


def saved(run_dir: Path) -> int:
    """The epoch of the latest checkpoint."""
    folder = run_dir / "checkpoints"
    return max((int(name) for name in os.listdir(folder) if name.isdigit()), default=0) if folder.is_dir() else 0


def kill_once(process: subprocess.Popen, run_dir: Path, when: str, delay: float, epochs: int) -> dict[str, Any] | None:
    """SIGKILL to `process` at the moment that `when` names, and `delay` seconds on; None where it ends before that."""
    before, ripe = saved(run_dir), None
    while process.poll() is None:
        ready = {
            "at any moment": True,
            "while training": saved(run_dir) > before,
            "during a save": saved(run_dir) > before and bool(saving(run_dir)),
            "after the last epoch": saved(run_dir) == epochs,
        }
        ripe = ripe or (time.monotonic() + delay if ready[when] else None)
        if ripe is not None and time.monotonic() >= ripe:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return {"when": when, "after_epoch": saved(run_dir), "during_save": bool(saving(run_dir))}
        time.sleep(0.0005)
    return None


def plan(kills: int, chance: random.Random) -> list[tuple[str, float]]:
    """When to kill, and how many seconds later: half of the kills hit a save, the last comes after the last epoch."""
    kinds = {"at any moment": 4.0, "while training": 0.5, "during a save": 0.0}
    turns = itertools.islice(itertools.cycle([*kinds, "during a save"]), kills - 1)
    return [(when, chance.uniform(0.0, kinds[when])) for when in turns] + [("after the last epoch", 0.2)]


def kill_loop(work: Path, kills: int, seed: int = 0, epochs: int = EPOCHS) -> dict[str, Any]:
    """Kill a run `kills` times, let it end, and compare it with one that was left alone."""
    folder = work / "images"
    make_images(folder)
    began = time.monotonic()

    def finish(run_dir: Path, *options: str) -> str:
        process = start(folder, run_dir, epochs, *options)
        said = process.communicate(timeout=300)[0]
        assert process.returncode == 0, said
        return json.loads((run_dir / "summary.json").read_text())["params_digest"]

    alone, record = finish(work / "alone"), []
    for when, delay in plan(kills, random.Random(seed)):
        process = start(folder, work / "killed", epochs, "--resume")
        kill = kill_once(process, work / "killed", when, delay, epochs)
        assert kill is not None, f"ended before it could be killed: {process.communicate()[0]}"
        record.append(kill)
    killed = finish(work / "killed", "--resume")
    lines = [json.loads(line) for line in (work / "killed" / "metrics.jsonl").read_text().splitlines()]
    return {
        "kills": len(record),
        "during_save": sum(kill["during_save"] for kill in record),
        "before_the_first_checkpoint": sum(kill["after_epoch"] == 0 for kill in record),
        "epochs": epochs,
        "every_epoch_once": [line["epoch"] for line in lines] == list(range(1, epochs + 1)),
        "params_digest_alone": alone,
        "params_digest_killed": killed,
        "digests_equal": alone == killed,
        "seconds": round(time.monotonic() - began, 1),
        "seed": seed,
        "python": platform.python_version(),
        "jax": importlib.metadata.version("jax"),
        "each": record,
    }


def main() -> None:
    """Kill as the command line says."""
    parser = argparse.ArgumentParser(description="Kill a run again and again, and see whether it ends the same.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--record", type=Path, help="where the record is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        record = kill_loop(Path(work), options.kills, options.seed, options.epochs)
    text = json.dumps(record, indent=2) + "\n"
    if options.record:
        options.record.write_text(text)
    print(text)
    sys.exit(not (record["digests_equal"] and record["every_epoch_once"]))


if __name__ == "__main__":
    main()
