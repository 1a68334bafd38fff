"""Denoise photographs: Gaussian noise of factor 0.005 to 0.3, parts of scikit-image's photographs.

    python -m jaxae.experiments.photo_denoise --noise.clip --recipe fast

Its runs are where the network of `jaxae denoise ready` comes from: see `jaxae/weights/`.
"""

from jaxae.command import run_main
from jaxae.config import Config, TrainConfig
from jaxae.experiments import running
from jaxae.experiments.resolving import Experiment

EXPERIMENT = Experiment(
    "photo_denoise",
    data="photo_crops",
    fallback="photo_crops",
    network="photo",
    config=Config(train=TrainConfig(target="psnr")),
    gaussian_factor="0.005..0.3",
)


def main() -> None:
    """Run the experiment as the command line says."""
    running.run_experiment(EXPERIMENT, __doc__)


if __name__ == "__main__":
    run_main(main, running.OUT_OF_MEMORY_REMEDY)
