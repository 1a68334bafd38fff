"""Compile training for TPUs on a machine without one, and rank the convolution backends. Nothing is executed.

    python -m benchmarks.tpu_compile --json OUT.json

Needs the `libtpu` package, whose compiler works without a device. Each program is compiled in a process of its own with
a limit on its time: a training step for one chip with every backend; the steps of eight networks at once, batched over
their weights; and, with the backend that "auto" stands for, the whole epoch for one chip and for eight that share each
batch. Seconds of processor time do not depend on other work on the machine.

`cycles_a_step` adds up the compiler's own `estimated_cycles` over the program's instructions, loops times their trips:
a ranking, not a measurement. It leaves out what the compiler gives no estimate for (sorts, gathers, collectives).
`cycles_once` is what an epoch spends outside its steps. `gflop` and `gbytes` are the compiler's too, bodies of loops
counted once.
"""

import argparse
import datetime
import functools
import importlib.metadata
import importlib.util
import json
import re
import shlex
import sys
import time
from math import nan
from pathlib import Path

from benchmarks.common import IMAGES, compile_apart, distinct_backends, machine, print_table, training_of, write_json
from benchmarks.hlo import computations_of

CHIP, SLICE = "v5e:1x1", "v5e:2x4"
MEMBERS = 8
# What libtpu would ask of a TPU's host: it is to compile alone, and beside other processes.
ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_COMPILATION_CACHE": "false",
}
COLUMNS = {
    "network": "",
    "backend": "",
    "precision": "",
    "batch_size": "",
    "program": "",
    "topology": "",
    "result": "",
    "compile_seconds": ".1f",
    "compile_cpu_seconds": ".1f",
    "argument_mib": ".1f",
    "temporary_mib": ".1f",
    "gflop": ".1f",
    "gbytes": ".2f",
    "cycles_a_step": ",.0f",
    "cycles_an_image": ",.0f",
    "cycles_once": ",.0f",
    "grouped_convolutions": "",
}


def cycles(text: str) -> tuple[int, int]:
    """Estimated cycles of a compiled program, by its text: of one trip of the loop over steps, and of all the rest.

    That loop is named by its path; a program without it is a step as a whole.
    """
    computations, entry = computations_of(text)

    def total(name: str) -> tuple[int, int]:
        step = rest = 0
        for line in computations[name]:
            if loop := re.search(r" while\(.*condition=%?([\w.\-]+), body=%?([\w.\-]+)", line):
                trips = re.findall(r"s32\[\]\S* constant\((\d+)\)", "\n".join(computations[loop[1]]))
                inner, around = total(loop[2])
                if 'op_name="jit(train_epoch)/while"' in line:
                    step += inner + around
                else:  # a bound that is no constant would leave the loop uncounted: then say so
                    if len(trips) != 1:
                        raise SystemExit(f"a loop of unknown length in the compiled program: {line.strip()[:200]}")
                    step, rest = step + inner * int(trips[0]), rest + around * int(trips[0])
            elif called := re.search(r" call\(.*to_apply=%?([\w.\-]+)", line):
                inner, around = total(called[1])
                step, rest = step + inner, rest + around
            elif estimate := re.search(r'"estimated_cycles":"(\d+)"', line):
                rest += int(estimate[1])
        return step, rest

    step, rest = total(entry)
    return (step, rest) if step else (rest, 0)


def lower(spec: dict):
    """The program that `spec` describes, ready to compile."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax.experimental import topologies
    from jax.sharding import Mesh, SingleDeviceSharding

    from jaxae import ops, training
    from jaxae.training import parallel

    chips = topologies.get_topology_desc(platform="tpu", topology_name=spec["topology"]).devices
    devices = parallel.Devices(Mesh(np.array(chips), (parallel.AXIS,))) if len(chips) > 1 else None
    same = SingleDeviceSharding(chips[0]) if devices is None else devices.replicated
    split = same if devices is None else devices.split(0)
    task, hyper, state, images = training_of(spec, same, devices)
    if spec["program"] == "epoch":
        epoch = ops.jit(training.train_epoch, static_argnums=0, donate_argnums=2)
        return epoch.lower(task, hyper, state, images)
    batch = jax.ShapeDtypeStruct((spec["batch_size"], *images.shape[1:]), jnp.float32, sharding=split)
    step = functools.partial(training.train_step, task)
    if spec["program"] == "ensemble":
        step = jax.vmap(step)
        hyper, state, batch = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((MEMBERS, *leaf.shape), leaf.dtype, sharding=same), (hyper, state, batch)
        )
    return jax.jit(step, donate_argnums=1).lower(hyper, state, (batch, batch))


def images_a_chip(spec: dict) -> float:
    """That a step trains on."""
    networks = MEMBERS if spec["program"] == "ensemble" else 1
    return spec["batch_size"] * networks / (8 if spec["topology"] == SLICE else 1)


def compile_one(spec: dict) -> dict:
    """The values of the program that `spec` describes, in the process that is to compile it."""
    lowered = lower(spec)
    start, cpu = time.perf_counter(), time.process_time()
    compiled = lowered.compile()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis()
    text = compiled.as_text()
    step, once = cycles(text)
    return {
        "result": "compiled",
        "compile_seconds": seconds,
        "compile_cpu_seconds": cpu,
        "argument_mib": memory.argument_size_in_bytes / 2**20,
        "temporary_mib": memory.temp_size_in_bytes / 2**20,
        "gflop": cost["flops"] / 1e9,
        "gbytes": cost["bytes accessed"] / 1e9,
        "cycles_a_step": step,
        "cycles_an_image": step / images_a_chip(spec),
        "cycles_once": once,
        "grouped_convolutions": len(re.findall(r"(?:feature|batch)_group_count=(?!1\b)\d+", text)),
    }


def programs_to_compile(args: argparse.Namespace) -> list[dict]:
    """What to compile."""
    from jaxae import ops

    specs, auto = [], ops.resolve_backend("auto", "tpu")
    least, *larger = sorted(args.batch_sizes)
    for network in args.networks:
        specs.append((network, auto, "float32", least, "epoch", CHIP))
        for batch_size in (least, *larger[:1]):
            backends = distinct_backends(network, batch_size)
            specs += [(network, backend, "float32", batch_size, "step", CHIP) for backend in backends]
            if batch_size == least:
                specs += [(network, backend, "float32", least, "ensemble", CHIP) for backend in ("xla", "unfold")]
                specs += [(network, auto, "float32", args.slice_batch_size, part, SLICE) for part in ("step", "epoch")]
                specs.append((network, auto, "bfloat16", least, "epoch", CHIP))
        specs += [(network, auto, "float32", batch_size, "epoch", CHIP) for batch_size in larger]
    fields = ("network", "backend", "precision", "batch_size", "program", "topology")
    return [dict(zip(fields, spec, strict=True)) for spec in specs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=IMAGES, default=list(IMAGES))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[128, 1024, 8192])
    parser.add_argument("--slice-batch-size", type=int, default=1024, help="of all eight chips together")
    parser.add_argument("--limit", type=int, default=150, help="seconds of processor time for one program")
    parser.add_argument("--json", type=Path, help="where the results go")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if importlib.util.find_spec("libtpu") is None:
        raise SystemExit("the compiler for TPUs is not installed: pip install libtpu")
    if args.one:
        print(json.dumps(compile_one(args.one)))
        return
    rows, libtpu = [], {"libtpu": importlib.metadata.version("libtpu")}
    for spec in programs_to_compile(args):
        rows.append(compile_apart("benchmarks.tpu_compile", spec, args.limit, ENVIRONMENT, COLUMNS))
        print(json.dumps(rows[-1]), flush=True)
        result = {
            "target": "TPU v5e, compiled for and not run on",
            "command": shlex.join(["python", "-m", "benchmarks.tpu_compile", *sys.argv[1:]]),
            "date": datetime.date.today().isoformat(),
            "rows": rows,
            "machine": machine() | libtpu,
        }
        write_json(args.json, result)  # each time: a run that is stopped leaves what it has
    table = [{name: row[name] if row[name] is not None else nan for name in COLUMNS} for row in rows]
    print_table(table, COLUMNS)


if __name__ == "__main__":
    main()
