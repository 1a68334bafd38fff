"""Reconstruct CIFAR-10 from the code, without noise: ten epochs of plain Adam.

    python -m jaxae.experiments.cifar10_reconstruct

The README has the results of this experiment, and of `--recipe fast`.
"""

from jaxae.command import run_main
from jaxae.config import Config, NoiseConfig
from jaxae.experiments import running
from jaxae.experiments.resolving import Experiment

EXPERIMENT = Experiment(
    "cifar10_reconstruct",
    data="cifar10",
    fallback="photo_patches",
    network="cifar",
    config=Config(noise=NoiseConfig("none")),
)


def main() -> None:
    """Run the experiment as the command line says."""
    running.run_experiment(EXPERIMENT, __doc__)


if __name__ == "__main__":
    run_main(main, running.OUT_OF_MEMORY_REMEDY)
