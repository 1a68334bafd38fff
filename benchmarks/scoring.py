"""The test after an epoch, 10,000 images through the network and all metrics: this checkout of jaxae and another.

    python -m benchmarks.scoring --against CHECKOUT --json OUT.json

Each is a process of its own that sleeps while the other is timed, in turn; a result is the median over rounds, a ratio
the median of the rounds' ratios. Both score the same images with the same weights and noise, and must agree. The first
time is apart: it compiles.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import machine, paired_ratio, print_table, same_allocator, write_json
from benchmarks.throughput import check_checkout, write_first_weights

COUNT, NOISE = 10_000, {"mnist": 0.5, "cifar": 0.1}
WORKER = """
import json, sys, time
import numpy as np
from flax.traverse_util import unflatten_dict
network, weights, factor, count = json.loads(sys.argv[1])
try:
    from jaxae import networks, noise
    model = networks.build(network)
except ImportError:  # networks were called models
    from jaxae import models, noise
    model = models.build(network) if hasattr(models, "build") else models.MODELS[network]()
with np.load(weights) as arrays:
    named = {name.removeprefix("flax/"): arrays[name] for name in arrays if name.startswith("flax/")}
params, added = unflatten_dict(named, "/"), noise.parse("gaussian", factor)
images = np.random.default_rng(0).integers(0, 256, (count, *model.image_shape), np.uint8)
try:
    from jaxae.data import Images
    from jaxae.runs.scores import score
    from jaxae.runs.evaluation_set import EvaluationSet
    arguments = model, params, EvaluationSet("random", Images(images), added)
except ImportError:
    try:
        from jaxae.run.scores import score
        from jaxae.run.test_set import TestSet
        arguments = model, params, TestSet("random", images, added)
    except ImportError:  # as it was at 1af5a3d
        from jaxae.scores import score
        arguments = model.apply, {"params": params}, images, added
for line in sys.stdin:
    start = time.perf_counter()
    means = score(*arguments).means()
    print(json.dumps({"seconds": time.perf_counter() - start, "psnr": means["psnr"]}), flush=True)
"""


class Worker:
    """A checkout that scores whenever it is asked to."""

    def __init__(self, checkout: Path, *spec):
        command = [sys.executable, "-c", WORKER, json.dumps(spec)]
        environment = os.environ | {"PYTHONPATH": str(checkout)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=environment, cwd=tempfile.gettempdir(), **pipes)

    def score(self) -> dict:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the process ended with status {self.process.wait()}")
        return json.loads(line)


def compare(network: str, checkouts: dict[str, Path], rounds: int, count: int) -> list[dict]:
    """The rows of a network."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.npz"
        write_first_weights(network, weights)
        workers = [Worker(path, network, str(weights), NOISE[network], count) for path in checkouts.values()]
        first = [worker.score() for worker in workers]
    if not np.allclose([one["psnr"] for one in first], first[0]["psnr"], atol=1e-3):
        raise SystemExit(f"they score otherwise: {first}")
    times = [[] for _ in workers]
    for _ in range(rounds):
        for taken, worker in zip(times, workers, strict=True):
            taken.append(worker.score()["seconds"])
    for worker in workers:
        worker.process.stdin.close()
        worker.process.wait()
    return [
        {
            "network": network,
            "checkout": name,
            "images": count,
            "seconds": statistics.median(taken),
            "first_seconds": one["seconds"],
            "jaxae_is_faster_by": paired_ratio(times[0], taken),
        }
        for name, taken, one in zip(checkouts, times, first, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout of jaxae")
    parser.add_argument("--networks", nargs="+", default=["mnist", "cifar"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--images", type=int, default=COUNT)
    parser.add_argument("--json", type=Path, help="where the results go")
    args = parser.parse_args()
    checkouts = {"this": Path(__file__).parents[1]}
    if args.against:
        checkouts[args.against.name] = check_checkout(args.against)
    rows, before = [], machine()
    for network in args.networks:
        rows += compare(network, checkouts, args.rounds, args.images)
    columns = {"network": "", "checkout": "", "seconds": ".3f", "first_seconds": ".1f", "jaxae_is_faster_by": ".2f"}
    print_table(rows, columns)
    write_json(args.json, {"rows": rows, "machine": before | {"load_average_after": machine()["load_average"]}})


if __name__ == "__main__":
    same_allocator()
    main()
