"""Reconstruct CIFAR-10 from the code, without noise: ten epochs of plain Adam.

python -m jaxae.experiments.cifar10_reconstruct

Real CIFAR-10, seed 0: test PSNR 27.17 dB, SSIM 0.968; with --recipe fast 46.70 dB and 0.998 after five epochs, the
mean of seeds 0 to 19 (44.53 to 48.75 dB).
"""

from jaxae.command import run_main
from jaxae.config import Config, NoiseConfig
from jaxae.experiments import runner
from jaxae.experiments.plan import Experiment

EXPERIMENT = Experiment(
    "cifar10_reconstruct",
    data="cifar10",
    fallback="photo_patches",
    model="cifar",
    config=Config(noise=NoiseConfig("none")),
)


def main() -> None:
    """Run the experiment as the command line says."""
    runner.main(EXPERIMENT, __doc__)


if __name__ == "__main__":
    run_main(main, runner.LESS)
