"""A few test images restored to look at: one program for figures, pages and TensorBoard."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, PyTree

from jaxae import ops
from jaxae.data.images import Images
from jaxae.networks import Network
from jaxae.noise import Noise
from jaxae.runs import scores

MAX_COUNT = 256  # images that the program restores at once


class Samples(NamedTuple):
    """Test images in [0, 1]: clean, noisy and clipped as a picture shows them, and the network's outputs."""

    clean: Float[np.ndarray, "n height width channels"]
    noisy: Float[np.ndarray, "n height width channels"]
    restored: Float[np.ndarray, "n height width channels"]


def restore_samples(
    model: Network, params: PyTree, images: Images, indices: Integer[np.ndarray, " m"], noise: Noise
) -> Samples:
    """Restore the test images with the numbers `indices`, at most `MAX_COUNT`, with the noise of every evaluation."""
    padded = np.resize(indices, min(MAX_COUNT, images.count))  # repeats them
    model = model.clone(backend=ops.REFERENCE)  # compiles fastest
    program = ops.jit(_restore, model.backend, static_argnums=0)
    found = program(model, params, noise, images.take(padded), jnp.asarray(padded, jnp.uint32))
    return Samples(*(array[: len(indices)] for array in jax.device_get(found)))


def _restore(
    model: Network, params: PyTree, noise: Noise, images: Images, indices: Array
) -> tuple[Array, Array, Array]:
    clean, noisy = scores.add_test_noise(noise, images, indices)
    return clean, scores.restore_images(None, {}, noisy), scores.restore_images(model, params, noisy)
