"""Denoise CIFAR-10: Gaussian noise of factor 0.1, ten epochs of plain Adam.

    python -m jaxae.experiments.cifar10_denoise

The README has the results of this experiment, and of `--recipe fast`.
"""

from jaxae.command import run_main
from jaxae.experiments import running
from jaxae.experiments.resolving import Experiment

EXPERIMENT = Experiment(
    "cifar10_denoise", data="cifar10", fallback="photo_patches", network="cifar", gaussian_factor=0.1
)


def main() -> None:
    """Run the experiment as the command line says."""
    running.run_experiment(EXPERIMENT, __doc__)


if __name__ == "__main__":
    run_main(main, running.OUT_OF_MEMORY_REMEDY)
