"""A few test images restored to be looked at: one program for figures, pages and event files alike."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, PyTree, UInt8

from jaxae import metrics, ops
from jaxae.models import Autoencoder
from jaxae.noise import Noise
from jaxae.run import scores

MOST = 256  # images that the program restores at once, where there are so many


class Samples(NamedTuple):
    """Test images clean, noisy as a picture shows them, and restored, in [0, 1]; the PSNR of the last two in dB."""

    clean: Float[np.ndarray, "n height width channels"]
    noisy: Float[np.ndarray, "n height width channels"]
    restored: Float[np.ndarray, "n height width channels"]
    noisy_psnr: Float[np.ndarray, " n"]
    psnr: Float[np.ndarray, " n"]


def restore(
    model: Autoencoder,
    params: PyTree,
    images: UInt8[np.ndarray, "n height width stored"],
    indices: Integer[np.ndarray, " m"],
    noise: Noise,
) -> Samples:
    """The test images number `indices`, at most `MOST`, with their noise of every other evaluation.

    Of equal models and kinds of noise, the program is compiled once.
    """
    padded = np.resize(indices, min(MOST, len(images)))  # repeats them
    model = model.clone(way="xla")  # compiles fastest
    program = ops.jit(_restore, model.way, static_argnums=0)
    found = program(model, params, noise, images[padded], jnp.asarray(padded, jnp.uint32))
    return Samples(*(array[: len(indices)] for array in jax.device_get(found)))


def _restore(
    model: Autoencoder, params: PyTree, noise: Noise, images: Array, indices: Array
) -> tuple[Array, Array, Array, Array, Array]:
    clean, noisy = scores.corrupt(noise, images, indices)
    restored, seen = scores.restore(model, params, noisy), scores.restore(None, {}, noisy)
    return clean, seen, restored, metrics.psnr(seen, clean), metrics.psnr(restored, clean)
