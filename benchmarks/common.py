"""What the benchmarks share: equal conditions for every competitor, and how results are written down."""

import json
import math
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from jaxae.command.machine import processor, versions

# Freed memory stays with the process. Else every step pays page faults for its large buffers, each library its own way.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(2**32), "MALLOC_TRIM_THRESHOLD_": str(2**32)}

IMAGES = {"mnist": 60_000, "cifar": 50_000}  # to train on


def call_seconds(call: Callable[[], Any], rounds: int = 5) -> list[float]:
    """The seconds of some calls that return arrays, after one to warm up."""
    import jax  # here: competitors set its variables first

    jax.block_until_ready(call())
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return times


def same_allocator() -> None:
    """Start this program once more where it does not yet run with the allocator settings; children inherit them."""
    if any(os.environ.get(name) != value for name, value in ALLOCATOR.items()):
        os.environ.update(ALLOCATOR)
        os.execv(sys.executable, sys.orig_argv)


def machine() -> dict:
    """The processor, the load on it from elsewhere, and the versions that a result depends on."""
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "versions": versions(("jax", "jaxlib", "flax", "optax", "numpy", "torch")),
    }


def paired_ratio(ours: list[float], theirs: list[float]) -> float:
    """The median over rounds of their seconds by ours: how many times faster we are."""
    return statistics.median(b / a for a, b in zip(ours, theirs, strict=True))


def print_table(rows: list[dict], columns: dict[str, str]) -> None:
    """`rows` as an aligned table; `columns` maps a field to how it is formatted."""
    cells = [list(columns)] + [[format(row[name], spec) for name, spec in columns.items()] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def write_json(path: Path | None, result: dict) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=2) + "\n")


def compile_apart(program: str, spec: dict, seconds: int, environment: dict[str, str], columns: Iterable[str]) -> dict:
    """`spec` with the values that `python -m PROGRAM --one SPEC` prints, in so many `seconds` of processor time.

    A value of `columns` that is missing because it took longer is None.
    """
    done = subprocess.run(
        [sys.executable, "-m", program, "--one", json.dumps(spec)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5)),
    )
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        missing = dict.fromkeys(set(columns) - spec.keys())
        return spec | missing | {"result": f"did not finish in {seconds} s of processor time"}
    if done.returncode:
        raise SystemExit(f"{spec}: {done.stderr[-2000:]}")
    return spec | json.loads(done.stdout.splitlines()[-1])


def distinct_backends(network: str, batch_size: int) -> list[str]:
    """The convolution backends, without those that give an earlier one's program: same functions, same microbatches."""
    from jaxae import networks, ops

    programs = {}
    for name, backend in ops.BACKENDS.items():
        part = ops.microbatch.part_size(batch_size, networks.NETWORKS[network].microbatch_sizes.get(name))
        programs.setdefault((backend.conv, backend.conv_transpose, part), name)
    return list(programs.values())


def training_of(spec: dict, same, devices=None) -> tuple:
    """The task that `spec` describes, and the shapes of its numbers, state and images, placed as `same` says.

    This and the caller's `lower` are all that a program compiled apart knows of training.
    """
    import jax
    import jax.numpy as jnp
    import optax

    from jaxae import networks, noise, training
    from jaxae.data import Images
    from jaxae.data.rows import ImageRows

    def like(tree):
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=same), tree)

    model = networks.build(spec["network"], spec["backend"], spec["precision"])
    task = training.Task(model, optax.adam(1.0), spec["batch_size"], devices=devices)
    hyper = like(jax.eval_shape(lambda: training.hyperparameters(0, 1e-3, noise.parse("gaussian", 0.5))))
    state = like(jax.eval_shape(lambda hyper: training.init(task, hyper, model.image_shape), hyper))
    rows = jax.ShapeDtypeStruct((IMAGES[spec["network"]], math.prod(model.image_shape)), jnp.uint8, sharding=same)
    return task, hyper, state, ImageRows(Images(rows), model.image_shape)
