"""Train with one optimizer on the training split less its last 5,000 images, and score it on those.

python experiments/recipe/validate.py --network cifar --optimizer soap --rate 0.02
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import optax

from jaxae import command, data, networks, noise, training
from jaxae.experiments.resolving import LSUV_IMAGES
from jaxae.runs.evaluation_set import EvaluationSet
from jaxae.runs.scores import score
from jaxae.training.recipes import one_cycle
from jaxae.training.soap import scale_by_soap

HELD_OUT = 5000
DATA = {"mnist": ("mnist", 0.5), "cifar": ("cifar10", 0.1)}  # with the factor of Gaussian noise


@dataclass(frozen=True)
class Arguments:
    """Score an optimizer on held-out training images."""

    network: Literal["mnist", "cifar"]
    """The network, on MNIST or on CIFAR-10."""
    optimizer: Literal["adam", "nadam", "muon", "soap"]
    """All at a learning rate that rises and falls once."""
    rate: float
    """Peak of the learning rate."""
    b1: float = 0.9
    """Decay of the mean gradient."""
    b2: float = 0.95
    """Decay of second moments."""
    batch_size: int = 64
    """Images in a step."""
    epochs: int = 2
    """Passes over the training images."""
    noise_factor: float | None = None
    """Of Gaussian noise; 0 is none."""
    lsuv: bool = False
    """Scale the initial weights on the first images (LSUV)."""
    reflect_padding: int = 0
    """Pixels of reflection padding."""
    seed: int = 0
    """Of initial weights, shuffling and noise."""
    data_dir: Path | None = None
    """Where prepared data sets are; by default as for a run."""


def make_optimizer(name: str, b1: float, b2: float, steps: int) -> optax.GradientTransformation:
    """For a peak learning rate of 1."""
    cycle = one_cycle(steps)
    if name == "muon":  # a kernel as the matrix [h * w * in, out]; Adam for the biases
        as_matrix = optax.contrib.MuonDimensionNumbers(reduction_axis=(0, 1, 2), output_axis=(3,))
        return optax.contrib.muon(
            cycle,
            beta=b1,
            adam_b1=b1,
            adam_b2=b2,
            muon_weight_dimension_numbers=lambda params: jax.tree.map(
                lambda x: as_matrix if x.ndim == 4 else None, params
            ),
        )
    if name == "soap":
        return optax.chain(scale_by_soap(b1, b2), optax.scale_by_learning_rate(cycle))
    return optax.adam(cycle, b1, b2, nesterov=name == "nadam")


def main() -> None:
    """Train and score as the command line says."""
    arguments = command.parse_arguments(Arguments)
    name, factor = DATA[arguments.network]
    model = networks.build(arguments.network, reflect_padding=arguments.reflect_padding)
    images = data.open(name, arguments.data_dir, image_shape=model.image_shape).load("train")
    train_images = training.place_images(images.take(slice(None, -HELD_OUT)))
    steps = arguments.epochs * training.steps_per_epoch(len(train_images), arguments.batch_size)
    optimizer = make_optimizer(arguments.optimizer, arguments.b1, arguments.b2, steps)
    factor = factor if arguments.noise_factor is None else arguments.noise_factor
    added = noise.parse("gaussian", factor) if factor else noise.parse("none")
    held_out = EvaluationSet("held out", images.take(slice(-HELD_OUT, None)), added)
    task = training.Task(model, optimizer, arguments.batch_size)
    hyper = training.hyperparameters(arguments.seed, arguments.rate, added)
    state = training.init(task, hyper, images.shape[1:])
    if arguments.lsuv:
        scaled = training.scale_initial(task, hyper, state.params, images.clean[:LSUV_IMAGES])
        state = training.start_from(task, scaled)
    for epoch in training.train_epochs(task, hyper, state, train_images, arguments.epochs):
        means = score(model, epoch.state.params, held_out).means()
        print(f"epoch {epoch.number}: psnr {means['psnr']:.3f} dB   ssim {means['ssim']:.4f}   {epoch.seconds:.1f} s")


if __name__ == "__main__":
    command.run_main(main)
