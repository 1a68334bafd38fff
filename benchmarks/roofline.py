"""How near a training step comes to what the device at hand can do.

    python -m benchmarks.roofline [--batch-sizes 128 1024] [--precisions float32 bfloat16] [--json OUT]

The ceilings are measured: the best rate of a large matrix product, and of copying an array far larger than any cache
(bytes read plus bytes written). A step's work is counted from the layers' shapes: three products for each layer (its
output, the gradient of its input, which the first layer does without, and the gradient of its kernel), and, if every
layer's results went through memory once for each use, the bytes of its activations and their gradients. The bound is
the longer of the two times; parameters, noise and Adam are left out of it but not of the measured step. Where the
activations of a microbatch stay in a cache, as on a CPU, the bytes are less than counted and so is the bound: then the
arithmetic alone is the one that cannot be beaten.
"""

import argparse
import statistics
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict
from jax import lax

from benchmarks.common import call_seconds, machine, print_table, same_allocator, write_json
from jaxae import networks, noise, tracing, training
from jaxae.layers import ConvTranspose


def product_ceiling(dtype: jnp.dtype, size: int = 2048, products: int = 8) -> float:
    """Floating-point operations per second of matrix products in `dtype`."""
    a = jax.random.normal(jax.random.key(0), (size, size)).astype(dtype) / size**0.5

    @jax.jit
    def chain(x):
        return lax.fori_loop(0, products, lambda _, x: jnp.matmul(a, x), x)

    return 2 * size**3 * products / min(call_seconds(lambda: chain(a)))


def copy_ceiling(megabytes: int = 512, copies: int = 4) -> float:
    """Bytes per second, read and written, of passes over a large array."""
    x = jnp.zeros(megabytes * 2**18, jnp.float32)

    @jax.jit
    def passes(x):
        return lax.fori_loop(0, copies, lambda _, x: x + 1, x)

    return 2 * x.nbytes * copies / min(call_seconds(lambda: passes(x)))


def work_per_image(network: str, itemsize: int) -> tuple[float, float]:
    """Floating-point operations, and bytes of unfused activations, of a training step."""
    model = networks.build(network, "xla")
    x = jax.ShapeDtypeStruct((1, *model.image_shape), jnp.float32)
    params = tracing.params_like(model)
    outputs = jax.eval_shape(lambda params, x: tracing.convolution_outputs(model, params, x), params, x)
    flops = moved = 0
    for number, layer in enumerate(tracing.list_layers(model)):
        y = outputs[layer.path]
        kernel = flatten_dict(params)[*layer.path, "kernel"].shape
        pixels = x if isinstance(layer.module, ConvTranspose) else y  # where the kernel is applied
        flops += (2 if number == 0 else 3) * 2 * np.prod(kernel) * np.prod(pixels.shape[1:3])
        # forward reads x and writes y; backward reads y (its sign), dy and x, and writes dx
        moved += 2 * x.size + 3 * y.size + (0 if number == 0 else x.size)
        x = y
    return float(flops), float(moved * itemsize)


def step_seconds(network: str, batch_size: int, precision: str, steps: int) -> float:
    """Seconds of one training step, the median of the epochs after the first."""
    model = networks.build(network, precision=precision)
    task = training.Task(model, optax.adam(1.0), batch_size)
    hyper = training.hyperparameters(0, 1e-3, noise.parse("gaussian", 0.5))
    state = training.init(task, hyper, model.image_shape)
    pixels = np.random.default_rng(0).integers(0, 256, (steps * batch_size, *model.image_shape), np.uint8)
    run_epoch = training.place_images(pixels).compile(task, hyper, state)
    times = []
    for _ in range(6):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(run_epoch(hyper, state))
        times.append((time.perf_counter() - start) / steps)
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=networks.NETWORKS, default=["mnist", "cifar"])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[128, 1024])
    parser.add_argument("--precisions", nargs="+", choices=("float32", "bfloat16"), default=["float32"])
    parser.add_argument("--images", type=int, default=8192, help="trained on in each timing")
    parser.add_argument("--json", type=Path, help="where the results go")
    args = parser.parse_args()

    copy = copy_ceiling()
    products = {precision: product_ceiling(jnp.dtype(precision)) for precision in args.precisions}
    print(f"{jax.devices()[0].device_kind}: copies {copy / 1e9:,.1f} GB/s", end="")
    print("".join(f", {name} products {rate / 1e9:,.0f} GFLOP/s" for name, rate in products.items()))
    rows = []
    for network in args.networks:
        for precision in args.precisions:
            flops, moved = work_per_image(network, jnp.dtype(precision).itemsize)
            for batch_size in args.batch_sizes:
                seconds = step_seconds(network, batch_size, precision, max(1, args.images // batch_size))
                arithmetic, memory = flops * batch_size / products[precision], moved * batch_size / copy
                rows.append(
                    {
                        "network": network,
                        "precision": precision,
                        "batch_size": batch_size,
                        "mflop_per_image": flops / 1e6,
                        "kilobytes_per_image": moved / 1e3,
                        "ms_per_step": 1e3 * seconds,
                        "gflop_per_second": flops * batch_size / seconds / 1e9,
                        "of_arithmetic": arithmetic / seconds,
                        "of_memory": memory / seconds,
                        "of_bound": max(arithmetic, memory) / seconds,
                    }
                )
    columns = {"network": "", "precision": "", "batch_size": "", "mflop_per_image": ".2f", "kilobytes_per_image": ".0f"}
    columns |= {"ms_per_step": ".2f", "gflop_per_second": ",.0f"}
    print_table(rows, columns | {"of_arithmetic": ".0%", "of_memory": ".0%", "of_bound": ".0%"})
    ceilings = {"copy_bytes_per_second": copy, "product_flops_per_second": products}
    device = {"kind": jax.devices()[0].device_kind, "count": len(jax.devices())}
    write_json(args.json, {"rows": rows, "ceilings": ceilings, "device": device, "machine": machine()})


if __name__ == "__main__":
    same_allocator()
    main()
