"""An ensemble of K members in one program against the same K one after another.

    python -m benchmarks.ensemble [--network mnist|cifar] [--sizes 1 8 64] [--json OUT]

Both start from the same seeds on the same images, and their losses must agree. "At once" is the epoch of
`jaxae.training.ensemble`, which a sweep runs, on a CPU with one device per core; "in turn" is the epoch of a single
run, compiled once and called for one member after another. The two alternate within each round; a result is the median
over rounds. Totals are compile seconds plus the seconds of ten epochs of 60,000 images, from the measured rate.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

import jax
import numpy as np
import optax

from benchmarks.common import machine, paired_ratio, print_table, same_allocator, write_json
from jaxae import networks, noise, training
from jaxae.data import Images
from jaxae.training import ensemble, parallel

WHOLE_RUN = 10 * 60_000  # images that a member sees in a run of the plain recipe


def compiled(images: training.TrainingImages, *arguments):
    """An epoch on `images`, and the seconds that compiling it takes."""
    start = time.perf_counter()
    return images.compile(*arguments), time.perf_counter() - start


def seconds(call) -> float:
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def compare(network: str, size: int, batch_size: int, steps: int, rounds: int) -> dict:
    model = networks.build(network)
    task = training.Task(model, optax.adam(1.0), batch_size)
    pixels = np.random.default_rng(0).integers(0, 256, (steps * batch_size, *model.image_shape), np.uint8)
    lone = [training.hyperparameters(seed, 1e-3, noise.parse("gaussian", 0.5)) for seed in range(size)]
    members = ensemble.stack(lone)

    def fresh() -> list:
        return [training.init(task, member, model.image_shape) for member in lone]

    # At once: the states go from call to call, as in a sweep.
    images = ensemble.EnsembleImages(Images(pixels), size)
    members, states = images.place_run((members, training.init(task, members, model.image_shape)))
    at_once, at_once_compile = compiled(images, task, members, states)
    in_turn, in_turn_compile = compiled(training.place_images(pixels), task, lone[0], fresh()[0])

    own = fresh()
    states, losses = at_once(members, states)  # also the warm-up
    for number, member in enumerate(lone):
        own[number], own_losses = in_turn(member, own[number])
        np.testing.assert_allclose(losses[number], own_losses, rtol=1e-3)

    def round_at_once():
        nonlocal states
        states, _ = at_once(members, states)
        return states

    def round_in_turn():
        for number, member in enumerate(lone):
            own[number], _ = in_turn(member, own[number])
        return own

    times = [(seconds(round_at_once), seconds(round_in_turn)) for _ in range(rounds)]
    together, apart = ([pair[i] for pair in times] for i in (0, 1))
    trained = size * len(pixels)
    whole = size * WHOLE_RUN / trained
    totals = [c + whole * statistics.median(t) for c, t in ((at_once_compile, together), (in_turn_compile, apart))]
    return {
        "network": network,
        "members": size,
        "batch_size": batch_size,
        "at_once_images_per_second": trained / statistics.median(together),
        "in_turn_images_per_second": trained / statistics.median(apart),
        "at_once_compile_seconds": at_once_compile,
        "in_turn_compile_seconds": in_turn_compile,
        "times_faster": paired_ratio(together, apart),
        "times_faster_with_compiling": totals[1] / totals[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=networks.NETWORKS, default="mnist")
    parser.add_argument("--sizes", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=16, help="of each member, in each round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="where the results go")
    args = parser.parse_args()
    parallel.request_cpu_devices(os.cpu_count())  # as the sweep does
    rows = []
    for size in args.sizes:
        rows.append(compare(args.network, size, args.batch_size, args.steps, args.rounds))
        columns = {"members": "", "at_once_images_per_second": ",.0f", "in_turn_images_per_second": ",.0f"}
        columns |= {"at_once_compile_seconds": ".1f", "in_turn_compile_seconds": ".1f"}
        print_table(rows[-1:], columns | {"times_faster": ".2f", "times_faster_with_compiling": ".2f"})
    device = {"kind": jax.devices()[0].device_kind, "count": len(jax.devices())}
    write_json(args.json, {"rows": rows, "device": device, "machine": machine()})


if __name__ == "__main__":
    same_allocator()
    main()
