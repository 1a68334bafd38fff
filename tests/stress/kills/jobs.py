"""What is killed: each job, how it is started, how far it has come, and what it leaves."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxae.runs.checkpoints import Checkpoints
from jaxae.runs.digest import tree_digest
from jaxae.runs.directory import read_history
from jaxae.runs.trained import load_run
from tests.process import free_port
from tests.small_run import write_run
from tests.training_run import launch, saved, saving, start

PICTURES = 60
TIMINGS = ("images_per_second", "compile_seconds")


class Job(NamedTuple):
    """A job in a directory that it is given: started, and started again as often as it is killed."""

    start: Callable[[Path], list[subprocess.Popen]]
    progress: Callable[[Path], int]  # how far it has come
    writing: Callable[[Path], bool]  # whether something is being written
    left: Callable[[Path], str]  # what it leaves at its end, as a digest
    check: Callable[[Path], None]  # raises AssertionError for what must not be seen after a kill
    last: int | None = None  # the progress after which only the summary is to be made


def run_job(images: Path, epochs: int, *options: object) -> Job:
    """A run with a validation part, in which a checkpoint is saved after each epoch, unless `options` say otherwise."""
    return Job(
        lambda place: [start(images, place, epochs, "--data.validation", 0.2, "--resume", *options)],
        saved,
        lambda place: bool(saving(place)),
        partial(_digest_of_run, epochs),
        _history_is_whole,
        epochs,
    )


def rare_job(images: Path, epochs: int) -> Job:
    """A run in which an epoch takes less time than there is between two checkpoints."""
    return run_job(images, epochs, "--checkpoint-seconds", 0.5)


def stream_job(images: Path, epochs: int) -> Job:
    """A run whose images are streamed."""
    return run_job(images, epochs, "--data.placement", "stream")


def pmap_job(images: Path, epochs: int) -> Job:
    """A run under pmap, on two devices."""
    return run_job(images, epochs, "--devices", 2, "--parallel", "pmap")


def started_job(images: Path, work: Path, epochs: int) -> Job:
    """A run from the weights of another, which is killed in its first epochs."""
    write_run(work / "trained", "mnist")
    return run_job(images, epochs, "--init-from", work / "trained")


def _digest_of_run(epochs: int, run_dir: Path) -> str:
    """That of the history without timings, and of the latest and the best parameters."""
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, epochs + 1)), "an epoch is missing, or there twice"
    kept = [{name: value for name, value in line.items() if name not in TIMINGS} for line in lines]
    digests = [json.loads((run_dir / "summary.json").read_text())["params_digest"]]
    with Checkpoints(run_dir, read_only=True) as checkpoints:
        if checkpoints.best_epoch is not None:
            digests.append(tree_digest(load_run(run_dir, "best").params))
    return hashlib.sha256(json.dumps([kept, *digests]).encode()).hexdigest()


def _history_is_whole(run_dir: Path) -> None:
    if (run_dir / "metrics.jsonl").exists():
        read_history(run_dir)


def sweep_job(images: Path, epochs: int) -> Job:
    """A sweep of two networks."""
    words = ("--data.name", f"folder:{images}", "--train.batch-size", 32, "--train.epochs", epochs, "--seeds", 0, 1)
    words += ("--checkpoint-seconds", 0)

    def left(folder: Path) -> str:
        return " ".join(_digest_of_run(epochs, folder / f"seed{seed}") for seed in (0, 1))

    def check(folder: Path) -> None:
        for run_dir in folder.glob("seed*"):
            _history_is_whole(run_dir)

    return Job(
        lambda place: [launch("jaxae.experiments.sweep", *words, "--run-dir", place, "--resume")],
        saved,
        lambda place: bool(saving(place)),
        left,
        check,
    )


def processes_job(images: Path, epochs: int) -> Job:
    """A run of two processes."""

    def both(place: Path) -> list[subprocess.Popen]:
        port = free_port()
        join = ("--distributed.coordinator", f"localhost:{port}", "--distributed.num-processes", 2)
        join += ("--distributed.timeout", 30)  # in which the one that is left gives up, where the other never came
        return [start(images, place, epochs, "--resume", *join, "--distributed.process-id", n) for n in (0, 1)]

    return run_job(images, epochs)._replace(start=both, last=None)


def denoise_job(work: Path) -> Job:
    """A folder of pictures through `denoise`."""
    run_dir, pictures = work / "trained", work / "pictures"
    write_run(run_dir, "cifar")
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for number in range(PICTURES):
        Image.fromarray(rng.integers(0, 256, (240, 320, 3), np.uint8)).save(pictures / f"{number:02}.png")

    def written(out: Path) -> list[Path]:
        return sorted(path for path in out.iterdir() if not path.name.startswith(".")) if out.is_dir() else []

    def check(out: Path) -> None:
        for path in written(out):
            with Image.open(path) as image:
                image.load()
                assert image.size == (320, 240)

    def left(out: Path) -> str:
        assert len(list(out.iterdir())) == PICTURES, "something else lies there too"
        return hashlib.sha256(b"".join(path.read_bytes() for path in written(out))).hexdigest()

    return Job(
        lambda place: [launch("jaxae.denoising", run_dir, pictures, "--out", place, "--overwrite")],
        # a run that starts again writes all of them again
        lambda place: sum(path.stat().st_mtime_ns for path in written(place)) // 10**6,
        lambda place: place.is_dir() and any(path.name.startswith(".") for path in place.iterdir()),
        left,
        check,
    )


def prepare_job() -> Job:
    """A data set prepared."""
    from jaxae import data

    def folder(place: Path) -> Path:
        return place / "digits_small"

    def names(place: Path) -> list[str]:
        return [path.name for path in folder(place).iterdir()] if folder(place).is_dir() else []

    def left(place: Path) -> str:
        assert [name[0].isdigit() for name in names(place)] == [True], names(place)
        digits = data.open("digits_small", place)
        return hashlib.sha256(b"".join(digits.load(split).clean.tobytes() for split in ("train", "test"))).hexdigest()

    return Job(
        lambda place: [launch("jaxae.data", "prepare", "digits_small", "--data-dir", place)],
        lambda place: len(names(place)),
        lambda place: any(name.startswith("incomplete") for name in names(place)),
        left,
        lambda place: None if not any(name[0].isdigit() for name in names(place)) else left(place) and None,
    )
