"""The error of a run on its test images, by the distance of a pixel to the border and by its brightness.

python experiments/recipe/where_error_lies.py runs/mine
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from jaxae import command, ops
from jaxae.errors import UserError
from jaxae.runs import scores, trained
from jaxae.runs.evaluation_set import EvaluationSet

BATCH = 500
BRIGHTNESS = (0.0, 0.1, 0.3, 0.7, 0.9, 1.001)


@dataclass(frozen=True)
class Arguments:
    """Show the error on the test images by pixel."""

    run_dir: tyro.conf.Positional[Path]
    """The run."""


def squared_errors(run: trained.TrainedRun, test: EvaluationSet) -> tuple[np.ndarray, np.ndarray]:
    """Clean images and squared errors, both [image, row, column]: means over the channels."""

    def compute(params, images, indices):
        clean, noisy = scores.add_test_noise(test.noise, images, indices)
        return clean.mean(-1), jnp.square(scores.restore_images(run.network, params, noisy) - clean).mean(-1)

    program = ops.jit(compute, run.network.backend)
    numbers = np.arange(test.images.count, dtype=np.uint32)
    parts = [
        jax.device_get(program(run.params, test.images.take(part), numbers[part]))
        for part in (slice(start, start + BATCH) for start in range(0, len(numbers), BATCH))
    ]
    clean, errors = (np.concatenate(part) for part in zip(*parts, strict=True))
    return clean, errors


def main() -> None:
    """Print both tables."""
    run = trained.load_run(command.parse_arguments(Arguments).run_dir)
    test = trained.open_test(run)
    if test.objective is not None:
        raise UserError("the run's images are noisy themselves: without clean ones its error is not known")
    clean, errors = squared_errors(run, test)
    rows, columns = (np.minimum(np.arange(n), np.arange(n)[::-1]) for n in errors.shape[1:])
    rings = np.minimum(rows[:, None], columns[None])
    kinds = {f"{ring} from the border": np.broadcast_to(rings == ring, errors.shape) for ring in range(4)}
    kinds |= {"further in": np.broadcast_to(rings > 3, errors.shape)}
    kinds |= {
        f"brightness {low:.1f} to {min(high, 1):.1f}": (clean >= low) & (clean < high)
        for low, high in itertools.pairwise(BRIGHTNESS)
    }
    print(f"{errors.mean():.6f} mean squared error")
    for name, chosen in kinds.items():
        share, part = errors[chosen].sum() / errors.sum(), chosen.mean()
        print(f"{name:<22} {part:6.1%} of the pixels {share:6.1%} of the error {errors[chosen].mean():.6f}")


if __name__ == "__main__":
    command.run_main(main)
