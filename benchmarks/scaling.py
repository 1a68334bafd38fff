"""Images per second by devices, processes and placement of the images, and the collective operations of each program.

    python -m benchmarks.scaling --json OUT.json

Every row is a process of its own, or several that train together. On a CPU the devices are fake: the same cores in 1,
2, 4 and 8 parts, so these rows show what dividing a batch costs, not what more hardware gains. The network, the batch
(of all devices together), the noise and so the losses are the same in every row of a network, and must agree.

Collectives are counted in the compiled program's text, where the loop over an epoch's steps stands once: what is
counted is what a step does.
"""

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.common import machine, print_table, same_allocator, write_json

SHAPES = {"mnist": (28, 28, 1), "cifar": (32, 32, 3)}
COLLECTIVE = r" (all-reduce|all-gather|reduce-scatter|collective-permute|all-to-all|collective-broadcast)(?:-start)?\("
TOLERANCE = 1e-4


def work(spec: dict) -> dict:
    """What a process measures; all processes of a row do the same."""
    import jax
    import optax

    from jaxae import networks, noise, ops, training
    from jaxae.data import Images
    from jaxae.data.stream import Stream
    from jaxae.training import parallel

    if spec["platform"] == "cpu":
        jax.config.update("jax_num_cpu_devices", spec["devices"] // spec["processes"])
    if spec["processes"] > 1:
        jax.distributed.initialize(spec["coordinator"], spec["processes"], spec["process"])
    devices = parallel.find_devices(spec["devices"] // spec["processes"], spec["parallel"])
    model = networks.build(spec["network"])
    task = training.Task(model, optax.adam(1.0), spec["batch_size"], devices=devices)
    shape = SHAPES[spec["network"]]
    pixels = np.random.default_rng(0).integers(0, 256, (spec["images"], *shape), np.uint8)
    hyper = training.hyperparameters(0, 1e-3, noise.parse("gaussian", 0.5))
    hyper, state = parallel.put((hyper, training.init(task, hyper, shape)), devices)
    images = training.place_images(
        Stream(Images(pixels), spec["chunk_bytes"]) if spec["placement"] == "stream" else pixels, devices
    )
    options = dict(ops.compiler_options(model.backend)) if spec["parallel"] == "pmap" else None
    program = images.lower(task, hyper, state).compile(compiler_options=options)
    epochs = list(training.train_epochs(task, hyper, state, images, epochs=1 + spec["rounds"]))
    seconds = [epoch.seconds for epoch in epochs[1:]]  # the first is for warming up
    return {
        "images_per_second": spec["images"] / statistics.median(seconds),
        "best_images_per_second": spec["images"] / min(seconds),
        "collectives": dict(Counter(re.findall(COLLECTIVE, program.as_text()))),
        "kind": jax.devices()[0].device_kind,
        "losses": [epoch.loss for epoch in epochs],
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def measure(spec: dict) -> dict:
    """A row."""
    spec = spec | {"coordinator": f"localhost:{free_port()}"}
    command = [sys.executable, "-m", "benchmarks.scaling", "--work"]
    processes = [
        subprocess.Popen([*command, json.dumps(spec | {"process": n})], stdout=subprocess.PIPE, text=True)
        for n in range(spec["processes"])
    ]
    answers = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit(f"{spec}: a process ended with status {[process.returncode for process in processes]}")
    answer = json.loads(answers[0].splitlines()[-1])
    names = ("network", "platform", "devices", "processes", "parallel", "placement", "batch_size")
    return {name: spec[name] for name in names} | answer


def specs(args: argparse.Namespace, network: str) -> list[dict]:
    shared = {name: getattr(args, name) for name in ("platform", "batch_size", "images", "rounds", "chunk_bytes")}
    shared |= {"network": network, "processes": 1, "parallel": "jit", "placement": "device"}
    rows = [shared | {"parallel": strategy, "devices": n} for strategy in ("jit", "pmap") for n in args.devices]
    rows += [shared | {"placement": "stream", "devices": n} for n in args.devices[:2]]
    if args.platform == "cpu":  # one process alone may use an accelerator
        rows += [shared | {"processes": 2, "devices": n} for n in args.devices if n >= 2 and n % 2 == 0][:2]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--networks", nargs="+", choices=SHAPES, default=["mnist"])
    parser.add_argument("--platform", default="cpu", help="cpu, cuda or tpu")
    parser.add_argument("--devices", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--batch-size", type=int, default=512, help="of all devices together")
    parser.add_argument("--images", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunk-bytes", type=int, default=2**21, help="of a stream")
    parser.add_argument("--json", type=Path, help="where the results go")
    args = parser.parse_args()
    if args.work:
        print(json.dumps(work(json.loads(args.work))))
        return
    os.environ["JAX_PLATFORMS"] = args.platform
    rows, before = [], machine()
    for network in args.networks:
        start, new = time.perf_counter(), []
        for spec in specs(args, network):
            row = measure(spec)
            new.append(row)
            if not np.allclose(row["losses"], new[0]["losses"], rtol=TOLERANCE):
                raise SystemExit(f"{row}: the losses are not those of the first row, {new[0]['losses']}")
            row["collectives"] = ", ".join(f"{n} {kind}" for kind, n in row["collectives"].items()) or "none"
            row["of_one_device"] = row["images_per_second"] / new[0]["images_per_second"]
        rows += new
        print(f"\n{network}, batch {args.batch_size} ({time.perf_counter() - start:.0f} s)")
        columns = {"devices": "", "processes": "", "parallel": "", "placement": ""}
        columns |= {"images_per_second": ",.0f", "best_images_per_second": ",.0f", "of_one_device": ".2f"}
        print_table(new, columns | {"collectives": ""})
    fake = "the CPU devices are parts of the same cores" if args.platform == "cpu" else None
    machines = before | {"load_average_after": machine()["load_average"], "note": fake}
    write_json(args.json, {"rows": rows, "machine": machines})


if __name__ == "__main__":
    same_allocator()
    main()
