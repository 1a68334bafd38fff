"""Compile training for an NVIDIA H100 on a machine without a GPU, and count its kernels. Nothing is executed.

    python -m benchmarks.gpu_compile --json OUT.json

Needs JAX 0.12 with its CUDA plugin, whose compiler works without a driver or a device. Each program, an epoch of one
network or of several at once, is compiled in a process of its own with a limit on its time. What is counted is one trip
of its loop over steps, as the program's text has it: kernels and libraries' calls by kind (a library may launch more
than one kernel for a call), and the bytes that each reads and writes, where a slice or a gather reads its part alone.
Autotuning needs a device and is off, so on a GPU other kernels may be picked for products and convolutions.

Four times follow for a step, all of them bounds and none of them a measurement: `launch_us`, if each kernel took
`LAUNCH_SECONDS`, an assumption; `bytes_us`, if all bytes went through memory at its full rate; `flops_us`, if the
network's products ran at the full rate of the tensor cores; and `bound_us`, the sum over the kernels of the longer of a
launch and its bytes, which leaves out that an L2 cache of 50 MiB serves many of those bytes faster.
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
from collections import Counter
from math import nan
from pathlib import Path

from benchmarks import hlo
from benchmarks.common import IMAGES, compile_apart, distinct_backends, machine, print_table, training_of, write_json

LAUNCH_SECONDS = 2.5e-6  # assumed for every kernel
BYTES_PER_SECOND = 3.35e12
FLOPS_PER_SECOND = {"float32": 495e12, "bfloat16": 989e12}  # dense, float32 as TF32: what JAX's default precision takes
MEMBERS = 32
PACKAGES = ("jax-cuda13-plugin", "jax-cuda13-pjrt", "nvidia-cudnn-cu13", "nvidia-cublas", "nvidia-cuda-nvcc")
MISSING = "the compiler for GPUs is not installed: pip install 'jax[cuda13]>=0.12'"

# A `stream_executor.GpuTargetConfigProto` of the H100 SXM, by NVIDIA's data sheet and CUDA's table of what a compute
# capability of 9.0 has.
H100 = """
gpu_device_info {
  name: "NVIDIA H100 80GB HBM3"
  cuda_compute_capability { major: 9 minor: 0 }
  core_count: 132
  fpus_per_core: 128
  clock_rate_ghz: 1.98
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  registers_per_block_limit: 65536
  registers_per_core_limit: 65536
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  l2_cache_size: 52428800
  memory_bandwidth: 3350000000000
  device_memory_size: 84942979072
}
platform_name: "CUDA"
device_description_str: "NVIDIA H100 80GB HBM3"
runtime_version { major: 13 minor: 0 patch: 0 }
dnn_version_info { major: 9 minor: 10 patch: 0 }
"""
ENVIRONMENT = {
    "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",  # of the driver's version: there is none
    "XLA_FLAGS": "--xla_gpu_autotune_level=0",
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_COMPILATION_CACHE": "false",
}
COLUMNS = {
    "network": "",
    "backend": "",
    "precision": "",
    "batch_size": "",
    "members": "",
    "result": "",
    "compile_seconds": ".1f",
    "kernels": "",
    **dict.fromkeys(hlo.KINDS, ""),
    "read_mib": ".1f",
    "written_mib": ".1f",
    "temporary_mib": ".1f",
    "launch_us": ".0f",
    "bytes_us": ".0f",
    "flops_us": ".1f",
    "bound_us": ".0f",
    "grouped_convolutions": "",
}


def lower(spec: dict):
    """The program that `spec` describes, ready to compile."""
    import jax
    from jax.experimental import topologies
    from jax.sharding import SingleDeviceSharding

    from jaxae import ops, training

    gpu = topologies.get_topology_desc(platform="cuda", target_config=H100, topology="1x1x1").devices[0]
    spec = spec | {"backend": ops.resolve_backend(spec["backend"], "gpu", ensemble=spec["members"] > 1)}
    same = SingleDeviceSharding(gpu)
    task, hyper, state, images = training_of(spec, same)
    epoch = functools.partial(training.train_epoch, task)
    if spec["members"] > 1:
        epoch = jax.vmap(epoch, in_axes=(0, 0, None))
        hyper, state = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((spec["members"], *leaf.shape), leaf.dtype, sharding=same), (hyper, state)
        )
    return jax.jit(epoch, donate_argnums=1).lower(hyper, state, images)


def compile_one(spec: dict) -> dict:
    """The values of the program that `spec` describes, in the process that is to compile it."""
    from benchmarks.roofline import work_per_image

    lowered = lower(spec)
    start, cpu = time.perf_counter(), time.process_time()
    compiled = lowered.compile()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    text = compiled.as_text()
    flops = work_per_image(spec["network"], 4)[0] * spec["batch_size"] * spec["members"]
    return {
        "result": "compiled, not run",
        "compile_seconds": seconds,
        "compile_cpu_seconds": cpu,
        "temporary_mib": compiled.memory_analysis().temp_size_in_bytes / 2**20,
        **counts_and_bounds(text, IMAGES[spec["network"]] // spec["batch_size"]),
        "flops_us": flops / FLOPS_PER_SECOND[spec["precision"]] * 1e6,
    }


def counts_and_bounds(text: str, steps: int) -> dict:
    """What the text of a compiled epoch of so many steps says of one of them."""
    kernels = hlo.kernels(text, steps)
    counts = Counter(kernel.kind for kernel in kernels)
    moved = [kernel.read + kernel.written for kernel in kernels]
    return {
        "kernels": len(kernels),
        **{kind: counts[kind] for kind in hlo.KINDS},
        "read_mib": sum(kernel.read for kernel in kernels) / 2**20,
        "written_mib": sum(kernel.written for kernel in kernels) / 2**20,
        "launch_us": len(kernels) * LAUNCH_SECONDS * 1e6,
        "bytes_us": sum(moved) / BYTES_PER_SECOND * 1e6,
        "bound_us": sum(max(LAUNCH_SECONDS, size / BYTES_PER_SECOND) for size in moved) * 1e6,
        "grouped_convolutions": len(re.findall(r"(?:feature|batch)_group_count=(?!1\b)\d+", text)),
    }


def programs_to_compile(args: argparse.Namespace) -> list[dict]:
    """What to compile."""
    specs, least = [], min(args.batch_sizes)
    for precision in args.precisions:
        for batch_size in args.batch_sizes:
            for network in args.networks:
                backends = args.backends or distinct_backends(network, batch_size)
                specs += [(network, backend, precision, batch_size, 1) for backend in backends]
                if (precision, batch_size) == (args.precisions[0], least):
                    specs += [(network, each, precision, least, args.members) for each in args.ensemble_backends]
    fields = ("network", "backend", "precision", "batch_size", "members")
    return [dict(zip(fields, spec, strict=True)) for spec in specs]


def main() -> None:
    from jaxae import ops

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=IMAGES, default=list(IMAGES))
    parser.add_argument("--backends", nargs="+", choices=[*ops.BACKENDS, "auto"], help="by default each that differs")
    parser.add_argument("--ensemble-backends", nargs="*", choices=[*ops.BACKENDS, "auto"], default=["auto", "xla"])
    parser.add_argument("--precisions", nargs="+", choices=FLOPS_PER_SECOND, default=list(FLOPS_PER_SECOND))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[128, 1024])
    parser.add_argument("--members", type=int, default=MEMBERS, help="of an ensemble")
    parser.add_argument("--limit", type=int, default=300, help="seconds of processor time for one program")
    parser.add_argument("--json", type=Path, help="where the results go")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if importlib.util.find_spec("jax_cuda13_plugin") is None:
        raise SystemExit(MISSING)
    if args.one:
        print(json.dumps(compile_one(args.one)))
        return
    rows, packages = [], {name: importlib.metadata.version(name) for name in PACKAGES}
    for spec in programs_to_compile(args):
        rows.append(compile_apart("benchmarks.gpu_compile", spec, args.limit, ENVIRONMENT, COLUMNS))
        print(json.dumps(rows[-1]), flush=True)
        result = {
            "target": "NVIDIA H100 SXM, compiled for and not run on",
            "assumed_seconds_a_launch": LAUNCH_SECONDS,
            "command": shlex.join(["python", "-m", "benchmarks.gpu_compile", *sys.argv[1:]]),
            "date": datetime.date.today().isoformat(),
            "rows": rows,
            "machine": machine() | {"packages": packages},
        }
        write_json(args.json, result)  # each time: a run that is stopped leaves what it has
    table = [{name: row[name] if row[name] is not None else nan for name in COLUMNS} for row in rows]
    print_table(table, COLUMNS)


if __name__ == "__main__":
    main()
