"""Recorrupted-to-Recorrupted: an objective for noisy images alone, with Gaussian noise of known sigma.

    python -m jaxae.experiments.mnist_denoise --import tests.extending.r2r --train.target r2r

Pang, Zheng, Quan and Ji, "Recorrupted-to-Recorrupted: Unsupervised Deep Learning for Image Denoising", CVPR 2021. Out
of a noisy image y come two, y + α·z and y - z/α with z ~ N(0, σ²), whose noises are independent: the one is the input,
the other the target. In expectation their squared difference is the mean squared error to the clean image, plus the
variance of the target's noise, which is subtracted.
"""

import jax
import jax.numpy as jnp

from jaxae.training import OBJECTIVES, Objective, add_own_noise

ALPHA = 0.5  # as in the paper


@OBJECTIVES.register("r2r")
class RecorruptedToRecorrupted(Objective):
    """Compare the output for one recorrupted image with the other."""

    uses_clean = False
    self_supervised = True
    needs_sigma = True

    def prepare(self, images, noise, draws):
        """Return the two recorrupted images, and the variance of the target's noise."""
        noisy, sigma = add_own_noise(images, noise, draws), self.known_sigma(noise)
        z = sigma * jax.random.normal(draws.second, noisy.shape)
        variance = jnp.full(len(noisy), sigma**2 * (1 + ALPHA**-2))
        return noisy + ALPHA * z, noisy - z / ALPHA, variance

    def losses(self, apply, batch):
        """Return an unbiased estimate of the mean squared error of each image."""
        noisier, target, variance = batch
        return jnp.mean(jnp.square(apply(noisier) - target), (1, 2, 3)) - variance
