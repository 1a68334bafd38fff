"""Dead lines of a sensor: a kind of noise.

python -m jaxae.experiments.mnist_denoise --import tests.extending.lines --noise.kind lines --noise.factor 0.1..0.3
"""

import jax
import jax.numpy as jnp

from jaxae import noise


@noise.kind(default=0.2)
def lines(key, images, probability):
    """Each row of pixels becomes 0 with this probability."""
    draw = jax.random.uniform(key, (*images.shape[:-2], 1, 1), images.dtype)
    return jnp.where(draw < probability, 0, images)
