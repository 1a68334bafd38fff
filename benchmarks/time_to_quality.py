"""Wall seconds from the start of the process, everything included, until the test PSNR that PyTorch's epochs reach.

    python -m benchmarks.time_to_quality [--network mnist|cifar] [--data-dir DIR] [--json OUT]

The PyTorch original trains first; what it ends with is the target. Then jaxae's own command trains the same network on
the same data with the plain recipe, with the fast one, and with the fast one told to take a single epoch, each first
with an empty compilation cache and then again with the one that left. Programs run one after another; a line of output,
one an epoch, is what the clock is read at, so a time includes imports, loading, compiling, and the tests after each
epoch. The data set is prepared beforehand.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import machine, print_table, write_json

NOISE = {"mnist": "0.5", "cifar": "0.1"}
EXPERIMENTS = {"mnist": "mnist_denoise", "cifar": "cifar10_denoise"}
PSNR = re.compile(r"psnr ([\d.]+)", re.IGNORECASE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NOISE, default="mnist")
    parser.add_argument("--epochs", type=int, default=10, help="of the PyTorch original and the plain recipe")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", type=Path, help="a TFDS data directory with the data set prepared")
    parser.add_argument("--json", type=Path, help="where the results go")
    args = parser.parse_args()

    torch = ["-m", "benchmarks.torch_reference", "--network", args.network, "--noise-factor", NOISE[args.network]]
    where = ["--data-dir", str(args.data_dir)] if args.data_dir else []
    curves = {"PyTorch original": curve([*torch, "--epochs", str(args.epochs), "--seed", str(args.seed), *where])}
    target = curves["PyTorch original"][-1][1]
    with tempfile.TemporaryDirectory() as scratch:
        for name, recipe, epochs in (
            ("plain", "plain", args.epochs),
            ("fast", "fast", None),
            ("fast, 1 epoch", "fast", 1),
        ):
            for state in ("first start", "second start"):
                command = ["-m", f"jaxae.experiments.{EXPERIMENTS[args.network]}", "--recipe", recipe]
                command += ["--seed", str(args.seed), "--run-dir", f"{scratch}/{name}-{state}".replace(" ", "-")]
                command += ["--data.dir", str(args.data_dir)] if args.data_dir else []
                command += ["--train.epochs", str(epochs)] if epochs else []
                curves[f"jaxae {name}, {state}"] = curve(command, JAX_COMPILATION_CACHE_DIR=f"{scratch}/cache-{name}")

    rows = [row(name, points, target) for name, points in curves.items()]
    theirs = rows[0]["seconds_to_target"]
    for line in rows:
        line["times_faster"] = theirs / line["seconds_to_target"]
    print(f"\n{args.network}, target {target:.2f} dB")
    formats = {"program": "", "seconds_to_target": ".1f", "epochs_to_target": ".0f", "times_faster": ".2f"}
    print_table(rows, formats | {"final_psnr": ".2f", "total_seconds": ".1f"})
    rows = [{name: None if value == float("inf") else value for name, value in line.items()} for line in rows]
    write_json(args.json, {"network": args.network, "target_psnr": target, "rows": rows, "machine": machine()})


def curve(command: list[str], **environment: str) -> list[tuple[float, float]]:
    """Seconds since the start and test PSNR, for each epoch that the program `command` reports."""
    print(
        f"running {' '.join(Path(part).name if '/' in part else part for part in command)}", file=sys.stderr, flush=True
    )
    start, points = time.perf_counter(), []
    process = subprocess.Popen(
        [sys.executable, *command], env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if line.startswith("epoch") and (found := PSNR.search(line)):
            points.append((time.perf_counter() - start, float(found[1])))
    if process.wait() or not points:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode} after {len(points)} epochs")
    return points


def row(name: str, points: list[tuple[float, float]], target: float) -> dict:
    """The row of a program, from its curve; infinite time where the target was not reached."""
    reached = [(number, seconds) for number, (seconds, psnr) in enumerate(points, start=1) if psnr >= target]
    epochs, seconds = reached[0] if reached else (float("inf"), float("inf"))
    return {
        "program": name,
        "seconds_to_target": seconds,
        "epochs_to_target": epochs,
        "final_psnr": points[-1][1],
        "total_seconds": points[-1][0],
        "curve": [{"seconds": seconds, "psnr": psnr} for seconds, psnr in points],
    }


if __name__ == "__main__":
    main()
