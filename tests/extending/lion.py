"""A recipe with Lion, warm-up and a cosine schedule.

    python -m jaxae.experiments.mnist_denoise --import tests.extending.lion --recipe lion

Chen et al., "Symbolic Discovery of Optimization Algorithms", arXiv:2302.06675.
"""

import optax

from jaxae.networks import CifarAutoencoder
from jaxae.training import Settings, recipe


@recipe(
    "lion",
    Settings(epochs=5, batch_size=64, learning_rate=1e-3, lsuv=True),
    tuned={CifarAutoencoder: Settings(epochs=5, batch_size=64, learning_rate=1e-3, lsuv=True, reflect_padding=4)},
    has_schedule=True,
)
def lion(steps):
    """Return Lion for a run of so many steps; the learning rate of a run multiplies its updates."""
    schedule = optax.warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps=steps // 20, decay_steps=steps)
    return optax.lion(schedule, weight_decay=0.0)
