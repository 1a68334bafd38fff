"""Denoise MNIST: Gaussian noise of factor 0.5, ten epochs of plain Adam.

    python -m jaxae.experiments.mnist_denoise

The README has the results of this experiment, and of `--recipe fast`.
"""

from jaxae.command import run_main
from jaxae.experiments import running
from jaxae.experiments.resolving import Experiment

EXPERIMENT = Experiment("mnist_denoise", data="mnist", fallback="digits", network="mnist")


def main() -> None:
    """Run the experiment as the command line says."""
    running.run_experiment(EXPERIMENT, __doc__)


if __name__ == "__main__":
    run_main(main, running.OUT_OF_MEMORY_REMEDY)
