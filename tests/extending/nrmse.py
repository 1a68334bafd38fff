"""The normalized root mean squared error: a metric beside the others in every test, table and report.

    python -m jaxae.experiments.mnist_denoise --import tests.extending.nrmse

Equal to scikit-image's ``normalized_root_mse(targets, images)`` of each image, except for targets that are all black.
"""

import jax.numpy as jnp

from jaxae.metrics import metric, mse


@metric("NRMSE", higher_is_better=False)
def nrmse(images, targets):
    """Return the norm of the error over that of the target, [batch]; a black target counts as one gray level."""
    power = jnp.mean(jnp.square(targets), (1, 2, 3))
    return jnp.sqrt(mse(images, targets) / jnp.maximum(power, 255.0**-2))
