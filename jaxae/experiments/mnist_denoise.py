"""Denoise MNIST: Gaussian noise of factor 0.5, ten epochs of plain Adam.

python -m jaxae.experiments.mnist_denoise

About 50 seconds on 2 CPU cores. Real MNIST, seeds 0 to 9: test PSNR 20.21 dB, their mean; with --recipe fast 20.78 dB
after three epochs, the mean of seeds 0 to 19 (20.76 to 20.80 dB).
"""

from jaxae.command import run_main
from jaxae.experiments import runner
from jaxae.experiments.plan import Experiment

EXPERIMENT = Experiment("mnist_denoise", data="mnist", fallback="digits", model="mnist")


def main() -> None:
    """Run the experiment as the command line says."""
    runner.main(EXPERIMENT, __doc__)


if __name__ == "__main__":
    run_main(main, runner.LESS)
