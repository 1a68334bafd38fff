"""Wall time of an epoch beside its device work: a lone run, a sweep of 32 and a stream, of one step an epoch.

    python -m benchmarks.overhead [--epochs 200] [--against CHECKOUT] [--long 10000] [--json OUT]

Every run is a process of its own that trains on 128 random images and tests on 64, as a command does, into a directory
that is thrown away. "programs" is the time of the epoch's programs alone, called one after another; "beside" is the
rest of the wall time: checkpoints, history, progress, dispatch. All are medians over rounds, in which the runs take
turns. --against adds the lone run of another checkout of jaxae (`git worktree add --detach DIR COMMIT`). --long trains
that many epochs and compares the tenths of the run.
"""

import argparse
import contextlib
import io
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import call_seconds, machine, print_table, write_json

IMAGES, TESTED, BATCH_SIZE = 128, 64, 128
JOBS = ("lone run", "sweep of 32", "stream")


def write_images(folder: Path) -> None:
    """Write random pictures; a file named `test-...` is a test image."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for split, count in (("train", IMAGES), ("test", TESTED)):
        (folder / split).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(rng.integers(0, 256, (28, 28), np.uint8)).save(folder / split / f"{number:03}.png")


def words(job: str, images: Path, out: Path, epochs: int) -> list[str]:
    """Return the command of a job, without ``python -m``."""
    data = ["--data.name", f"folder:{images}", "--train.batch-size", str(BATCH_SIZE)]
    module = "jaxae.experiments.mnist_denoise"
    if job == "sweep of 32":
        module, data = "jaxae.experiments.sweep", [*data, "--seeds", "0..31"]
    if job == "stream":
        data += ["--data.placement", "stream"]
    return [module, *data, "--train.epochs", str(epochs), "--run-dir", str(out)]


class Clock(io.TextIOBase):
    """Standard output that notes when each epoch is reported."""

    def __init__(self):
        self.times: list[float] = []

    def write(self, text: str) -> int:
        if text.startswith("epoch "):
            self.times.append(time.perf_counter())
        return len(text)


def train(job: str, images: Path, epochs: int) -> dict:
    """Train in this process; returns the seconds of an epoch without the first ones, which warm up."""
    import importlib

    with tempfile.TemporaryDirectory() as folder:
        module, *options = words(job, images, Path(folder) / "run", epochs)
        clock, sys.argv = Clock(), [module, *options]
        with contextlib.redirect_stdout(clock):
            importlib.import_module(module).main()
    times = clock.times
    warm = len(times) // 10
    tenths = [times[len(times) * n // 10 - 1] for n in range(1, 11)]
    spans = [later - earlier for earlier, later in itertools.pairwise(tenths)]
    return {"seconds": (times[-1] - times[warm]) / (len(times) - 1 - warm), "tenths": spans}


def programs(job: str, images: Path, rounds: int = 30) -> dict:
    """Time the programs of an epoch alone, and their parts; seconds."""
    import numpy as np

    from jaxae import data, networks, noise, ops, training
    from jaxae.data.stream import Stream
    from jaxae.training import ensemble, epochs, testing
    from jaxae.training.step import epoch_order, step_keys

    dataset = data.open(f"folder:{images}", image_shape=(28, 28, 1))
    train_images, test = dataset.load("train"), dataset.load("test")
    task = training.Task(networks.build("mnist"), training.make_optimizer("plain", 0), BATCH_SIZE)
    hyper = training.hyperparameters(0, 1e-3, noise.parse("gaussian", 0.5))
    state = training.init(task, hyper, (28, 28, 1))
    placed = training.place_images(Stream(train_images) if job == "stream" else train_images)
    if job == "sweep of 32":
        members = [training.hyperparameters(seed, 1e-3, noise.parse("gaussian", 0.5)) for seed in range(32)]
        placed, hyper = ensemble.EnsembleImages(train_images, 32), ensemble.stack(members)
        state = training.init(task, hyper, (28, 28, 1))
    loop = training.Loop(task, hyper, state, placed, test)

    def median(call) -> float:
        return statistics.median(call_seconds(call, rounds))

    found = {"epoch": median(lambda: loop._program(loop.run, 1))}
    if job != "lone run":
        return found
    backend, batches = task.model.backend, testing.batch_images(test)
    step = ops.jit(training.train_step, backend, static_argnums=0)
    batch = np.random.default_rng(0).random((2, BATCH_SIZE, 28, 28, 1), np.float32)
    order, keys = ops.jit(epoch_order, static_argnums=(0, 3)), ops.jit(step_keys, static_argnums=2)
    prepare = ops.jit(training.step.prepare_batch, static_argnums=0)
    given = keys(hyper, np.int32(0), 1)[0]
    taken = train_images.take(slice(BATCH_SIZE))
    train_only = placed.compile(task, hyper, state)
    measured = ops.jit(epochs.measure_sets, backend, static_argnums=0)
    return found | {
        "training": median(lambda: train_only(hyper, state)),
        "step": median(lambda: step(task, hyper, state, tuple(batch))),
        "noise": median(lambda: prepare(task, hyper, state.step, taken, np.arange(BATCH_SIZE, dtype=np.int32), given)),
        "order": median(lambda: order(task, hyper, np.int32(0), IMAGES)),
        "keys": median(lambda: keys(hyper, np.int32(0), 1)),
        "test": median(lambda: measured(task, hyper, state.params, epochs.ImageSets(batches))),
    }


def apart(kind: str, job: str, images: Path, epochs: int, checkout: Path | None = None) -> dict:
    """Run a function of this module in a process of its own, on jaxae as it is here or in another checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout or Path.cwd())}
    command = [sys.executable, str(Path(__file__).resolve()), "--one", kind, job, str(images), str(epochs)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{job}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", nargs="*", choices=JOBS, default=list(JOBS))
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="a checkout of jaxae that competes too")
    parser.add_argument("--long", type=int, metavar="EPOCHS", help="a lone run of so many epochs")
    parser.add_argument("--json", type=Path, help="where the results go")
    parser.add_argument("--one", nargs=4, metavar=("KIND", "JOB", "IMAGES", "EPOCHS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        kind, job, images, epochs = args.one
        result = train(job, Path(images), int(epochs)) if kind == "train" else programs(job, Path(images))
        print(json.dumps(result))
        return
    result = {"machine": machine(), "rows": []}
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        write_images(images)
        jobs = [(job, None) for job in args.jobs]
        jobs += [("lone run", args.against.resolve())] if args.against else []
        times = {each: [] for each in jobs}
        device = {job: [] for job in args.jobs}
        for _ in range(args.rounds):
            for job, checkout in jobs:
                times[job, checkout].append(apart("train", job, images, args.epochs, checkout)["seconds"])
                if checkout is None:
                    device[job].append(apart("programs", job, images, args.epochs))
        for (job, checkout), seconds in times.items():
            row = {
                "job": job if checkout is None else f"{job} of {checkout.name}",
                "wall_ms": statistics.median(seconds),
            }
            parts = device[job] if checkout is None else [{}]
            row |= {f"{name}_ms": statistics.median(each[name] for each in parts) for name in parts[0]}
            if ("lone run", None) in times:
                row["wall_by_lone"] = row["wall_ms"] / statistics.median(times["lone run", None])
            result["rows"].append({name: 1e3 * v if name.endswith("_ms") else v for name, v in row.items()})
        if args.long:
            result["long"] = apart("train", "lone run", images, args.long)
            print("seconds of each tenth:", *(f"{each:.1f}" for each in result["long"]["tenths"]))
    for row in result["rows"]:
        print_table([row], {name: "" if name == "job" else ".2f" for name in row})
    write_json(args.json, result | {"load_average_after": os.getloadavg()[0]})


if __name__ == "__main__":
    main()
