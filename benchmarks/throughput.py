"""Training steps and images per second: jaxae against plain Linen and PyTorch, in turn within one run.

    python -m benchmarks.throughput --quick --json OUT.json

Every competitor is a process of its own that sleeps while another is timed, so that thread pools do not meet. In each
round all of them run a burst of steps, one after the other; a result is the median over rounds, a ratio the median of
the rounds' ratios. Each step draws a batch from uint8 images on the device, adds Gaussian noise, and makes one Adam
step on the mean squared error. Before any timing all train on the same batches from the same weights, and their losses
must agree. Compiling is timed apart.

--loader adds a row a side with the images on the host: jaxae's stream of batches, PyTorch's `DataLoader`.
--against adds jaxae as it is in another checkout, say of an earlier commit (`git worktree add --detach DIR COMMIT`).
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.common import machine, paired_ratio, print_table, same_allocator, write_json

COMPETITORS = {
    "cpu": ("jaxae", "linen", "torch_eager", "torch_compile"),
    "cuda": ("jaxae", "linen", "torch_eager", "torch_compile", "torch_cudagraphs", "torch_channels_last"),
}
BURST_SECONDS = 0.4
TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2}


class Worker:
    """A competitor in its own process, spoken to in lines of JSON."""

    def __init__(self, checkout: Path | None = None, **spec):
        """A competitor of this checkout, or jaxae as it is in another."""
        self.spec, environment = spec, None
        command = [sys.executable, "-m", "benchmarks.competitors", json.dumps(spec)]
        if checkout is not None:
            self.spec = spec | {"competitor": f"jaxae in {checkout.name}"}
            command[1:3] = [str(checkout / "benchmarks" / "competitors.py")]
            environment = os.environ | {"PYTHONPATH": str(checkout)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=environment, **pipes)

    def ask(self, **question) -> dict:
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.spec}: the process ended with status {self.process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def check_checkout(checkout: Path) -> Path:
    """`checkout`, absolute. Ends the program where it is none of jaxae."""
    if not (checkout / "benchmarks" / "competitors.py").is_file():
        raise SystemExit(f"--against {checkout}: it holds no benchmarks/competitors.py, as a checkout of jaxae does")
    return checkout.resolve()


def compare(specs: list[dict], rounds: int) -> list[dict]:
    """The rows of one comparison: same network, batch size and precision."""
    workers = [Worker(**spec) for spec in specs]
    try:
        losses = {worker.spec["competitor"]: worker.ask(do="losses")["losses"] for worker in workers}
        check_equal(losses, TOLERANCE[specs[0]["precision"]])
        compiled = [worker.ask(do="compile")["seconds"] for worker in workers]
        # As many steps as fill a burst; the first burst is for warming up.
        steps = []
        for worker in workers:
            worker.ask(do="burst", steps=2)
            seconds = worker.ask(do="burst", steps=2)["seconds"] / 2
            steps.append(min(512, max(2, round(BURST_SECONDS / seconds))))
            worker.ask(do="burst", steps=steps[-1])
        times = [[] for _ in workers]
        for _ in range(rounds):
            for i, worker in enumerate(workers):
                times[i].append(worker.ask(do="burst", steps=steps[i])["seconds"] / steps[i])
    finally:
        for worker in workers:
            worker.close()
    rows = []
    for worker, seconds, compile_seconds in zip(workers, times, compiled, strict=True):
        median = statistics.median(seconds)
        rows.append(
            {
                **{name: value for name, value in worker.spec.items() if name != "weights"},
                "images_per_second": worker.spec["batch_size"] / median,
                "steps_per_second": 1 / median,
                "ms_per_step": 1e3 * median,
                "best_ms_per_step": 1e3 * min(seconds),
                "compile_seconds": compile_seconds,
                "jaxae_is_faster_by": paired_ratio(times[0], seconds),
            }
        )
    return rows


def write_first_weights(network: str, path: Path) -> None:
    """The weights that every competitor starts from, under Linen's and under PyTorch's names."""
    import jax
    from flax.traverse_util import flatten_dict

    from jaxae import networks, torch_weights

    model = networks.build(network)
    params = model.init(jax.random.key(0), np.zeros((1, *model.image_shape), np.float32))["params"]
    arrays = {f"flax/{name}": array for name, array in flatten_dict(params, sep="/").items()}
    state_dict = torch_weights.to_torch(params, model)
    np.savez(path, **arrays, **{f"torch/{name}": array for name, array in state_dict.items()})


def check_equal(losses: dict[str, list[float]], tolerance: float) -> None:
    expected = losses["jaxae"]
    for name, values in losses.items():
        if not np.allclose(values, expected, rtol=tolerance, atol=0):
            raise SystemExit(f"{name} does other work: losses {values}, jaxae's {expected}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="batch 128 and float32 alone")
    parser.add_argument("--loader", action="store_true", help="also with each side's usual loader")
    parser.add_argument("--networks", nargs="+", default=["mnist", "cifar"])
    parser.add_argument("--batch-sizes", nargs="+", type=int)
    parser.add_argument("--precisions", nargs="+", choices=TOLERANCE)
    parser.add_argument("--competitors", nargs="+", help="beside jaxae")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="a checkout of jaxae that competes too")
    parser.add_argument("--device", choices=COMPETITORS, default="cpu")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="where the results go")
    args = parser.parse_args()
    batch_sizes = args.batch_sizes or ([128] if args.quick else [32, 128, 512, 1024, 2048, 8192])
    precisions = args.precisions or (["float32"] if args.quick else ["float32", "bfloat16"])
    competitors = ["jaxae", *(args.competitors or COMPETITORS[args.device][1:])]
    rows, before = [], machine()
    os.environ["JAX_PLATFORMS"] = "cpu"  # for the weights; the competitors choose their own
    folder = Path(tempfile.mkdtemp())
    for network in args.networks:
        write_first_weights(network, folder / f"{network}.npz")
    for network, precision, batch_size in itertools.product(args.networks, precisions, batch_sizes):
        shared = {"network": network, "batch_size": batch_size, "precision": precision, "device": args.device}
        shared["weights"] = str(folder / f"{network}.npz")
        specs = [{**shared, "competitor": name, "data": "device"} for name in competitors]
        if args.against:
            specs.insert(1, specs[0] | {"checkout": check_checkout(args.against)})
        if args.loader:
            specs += [{**shared, "competitor": name, "data": "loader"} for name in ("jaxae_stream", "torch_loader")]
        start = time.perf_counter()
        rows += (new := compare(specs, args.rounds))
        print(f"\n{network}, batch {batch_size}, {precision} ({time.perf_counter() - start:.0f} s)")
        columns = {
            "competitor": "",
            "images_per_second": ",.0f",
            "ms_per_step": ".2f",
            "best_ms_per_step": ".2f",
            "compile_seconds": ".1f",
            "jaxae_is_faster_by": ".2f",
        }
        print_table(new, columns)
        after = {"load_average_after": machine()["load_average"]}
        write_json(args.json, {"rows": rows, "machine": before | after})  # each time: a run stopped leaves what it has


if __name__ == "__main__":
    same_allocator()
    main()
