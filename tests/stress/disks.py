"""Full disks at each place that jaxae writes to: a program for the record, and samples for the tests.

    python -m tests.stress.disks --record tests/stress/records/disks.json

Each command writes to a small file system of its own, once with nothing left on it and, where it writes several files,
once with room for some of them; then room is made, and the same command has to do its work. What is only a cache is
done without: there the command has to do its work on the full disk too. Needs root and Linux.
"""

import argparse
import contextlib
import datetime
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tests.process import Result, alone
from tests.small_run import write_run
from tests.tiny_data_set import write_few
from tests.training_run import make_images

SIZE = 64 * 2**20


class Place(NamedTuple):
    """A command that writes to a folder on the disk."""

    arguments: Callable[[Path, Path], tuple[Any, ...]]  # of the folder of inputs and the one to write to
    room: int = 0  # bytes with which it gets half way
    again: tuple[str, ...] = ()  # what is added to go on where there is room again
    prepare: Callable[[Path], None] | None = None  # what it alone works on, below the folder of inputs
    caches: bool = False  # on the disk, and nothing else


TRAIN = ("--train.batch-size", 32, "--train.epochs", 2, "--train.backend", "xla")


def data(inputs: Path) -> tuple[Any, ...]:
    """A small data set."""
    return ("--data.name", f"folder:{inputs / 'images'}")


def tiny_data_sets(inputs: Path) -> None:
    """MNIST and CIFAR-10 of few pictures, in ``data``."""
    write_few(inputs / "data", "mnist", channels=1, size=28)
    write_few(inputs / "data", "cifar10", channels=3, size=32)


def large_pictures(inputs: Path) -> None:
    """Pictures in ``large`` that take long enough to decode for that to be kept."""
    (inputs / "large").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (2000, 2000), np.uint8)
    for number in range(60):
        Image.fromarray(np.roll(pixels, number)).save(inputs / "large" / f"{number}.png", compress_level=1)


PLACES: dict[str, Place] = {
    "a run": Place(
        lambda inputs, out: ("jaxae.experiments.mnist_denoise", *data(inputs), *TRAIN, "--run-dir", out / "run"),
        2_000_000,
        again=("--resume",),
    ),
    "a sweep": Place(
        lambda inputs, out: (
            "jaxae.experiments.sweep",
            *data(inputs),
            *TRAIN,
            "--seeds",
            0,
            1,
            "--run-dir",
            out / "run",
        ),
        5_000_000,
        again=("--resume",),
    ),
    "a noise grid": Place(
        lambda inputs, out: (
            *("jaxae.experiments.noise_grid", "--data.dir", inputs / "data", "--train.epochs", 1),
            *("--run-dir", out / "runs", "--out", out / "grid"),
        ),
        3_000_000,
        prepare=tiny_data_sets,
    ),
    "a report": Place(
        lambda inputs, out: ("jaxae.report", inputs / "run", *data(inputs), "--out", out / "report.html")
    ),
    "codes": Place(lambda inputs, out: ("jaxae.embed", inputs / "run", *data(inputs), "--out", out / "codes"), 20_000),
    "a comparison with classical filters": Place(
        lambda inputs, out: (
            *("jaxae.baselines", inputs / "run", *data(inputs), "--images", 4, "--tune-images", 2),
            *("--out", out / "filters"),
        ),
        20_000,
    ),
    "an export for JAX": Place(lambda inputs, out: ("jaxae.export", inputs / "run", out / "network.jax")),
    "an export for ONNX": Place(lambda inputs, out: ("jaxae.export", inputs / "run", out / "network.onnx"), 50_000),
    "weights for PyTorch": Place(
        lambda inputs, out: ("jaxae.torch_weights", "export", inputs / "run", out / "weights.npz"), 50_000
    ),
    "weights from PyTorch": Place(
        lambda inputs, out: (
            *("jaxae.torch_weights", "import", inputs / "weights.npz", out / "imported", "--network", "mnist"),
            *data(inputs),
        ),
        300_000,
    ),
    "denoised pictures": Place(
        lambda inputs, out: ("jaxae.denoising", inputs / "run", inputs / "pictures", "--out", out / "clean"),
        300_000,
        again=("--overwrite",),
    ),
    "a prepared data set": Place(
        lambda inputs, out: ("jaxae.data", "prepare", "digits_small", "--data-dir", out / "data"), 1_000_000
    ),
    "caches of decoded pictures and of compiled programs": Place(
        lambda inputs, out: ("jaxae.evaluate", inputs / "run", "--data.name", f"folder:{inputs / 'large'}"),
        200_000,
        prepare=large_pictures,
        caches=True,
    ),
}


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    """A file system of `SIZE` bytes at `path`. Raises OSError where none can be mounted."""
    path.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", path]).returncode:
        raise OSError("a small file system cannot be mounted here")
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def make_inputs(folder: Path) -> Path:
    """What the commands work on."""
    folder.mkdir()
    make_images(folder / "images")
    write_run(folder / "run", "mnist", backend="xla")
    (folder / "pictures").mkdir()
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (300, 400), np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{number}.png")
    assert alone("jaxae.torch_weights", "export", folder / "run", folder / "weights.npz").status == 0
    return folder


def half_files(disk: Path) -> list[str]:
    """Files and directories that something was being written to when it failed: none is to be left."""
    found = [path for path in disk.rglob(".*") if not path.name.endswith(".lock")]
    return [path.name for path in found if path.name != "filler"]


def try_place(name: str, inputs: Path, disk: Path) -> dict[str, Any]:
    """Fill the disk, see how the command fails, make room, and see it do its work. Raises AssertionError."""
    place, said = PLACES[name], []
    if place.prepare:
        place.prepare(inputs)
    for left in dict.fromkeys((0, place.room)):
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "filler").write_bytes(bytes(free - left))
        result = launch(place, inputs, disk)
        (disk / "filler").unlink()
        assert "Traceback" not in result.err, (name, left, result)
        assert not half_files(disk), (name, left, half_files(disk))
        lines = [line for line in result.err.splitlines() if line.startswith("error: ")]
        if place.caches:
            assert (result.status, lines) == (0, []), (name, left, result)
            said.append("does its work without")
            continue
        assert result.status == 2, (name, left, result)
        assert lines, (name, left, result)
        assert all("no space left" in line for line in lines), (name, left, lines)
        said.append(lines[-1].replace(str(disk), "…").replace(str(inputs).replace("/", "-"), "-"))
    result = launch(place, inputs, disk, *place.again)
    assert result.status == 0, (name, result)
    if place.caches:
        assert list((disk / "jaxae" / "folders").iterdir())
        assert list((disk / "xla").iterdir())
    return {"place": name, "said": said}


def launch(place: Place, inputs: Path, disk: Path, *more: str) -> Result:
    """Its command, with the caches on `disk` where those are what it is about."""
    caches = {"XDG_CACHE_HOME": str(disk), "JAX_COMPILATION_CACHE_DIR": str(disk / "xla")} if place.caches else {}
    return alone(*place.arguments(inputs, disk), *more, timeout=1200, **caches)


def main() -> None:
    """Try every place and write the record."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.disks", description="Fill disks.")
    parser.add_argument("--places", nargs="+", choices=PLACES, default=list(PLACES))
    parser.add_argument("--record", type=Path, help="where the record is written")
    options, rows = parser.parse_args(), []
    with tempfile.TemporaryDirectory() as work:
        inputs = make_inputs(Path(work) / "inputs")
        for number, name in enumerate(options.places):
            with small_disk(Path(work) / str(number)) as disk:
                rows.append(try_place(name, inputs, disk))
            print(json.dumps(rows[-1]), flush=True)
    record = {
        "command": shlex.join(["python", "-m", "tests.stress.disks", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "places": rows,
    }
    if options.record:
        options.record.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
