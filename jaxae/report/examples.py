"""Test images restored for a page: at several strengths of noise, and the worst and the best of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, Integer, PyTree, UInt8

from jaxae import metrics, ops
from jaxae.data import halves
from jaxae.noise import KINDS, Noise
from jaxae.run import scores

SAMPLE = 256  # test images restored at each strength; one compiled program restores so many at once
MULTIPLES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)  # of the noise in training
VIEW = 64  # pixels; of larger images a page shows the middle


class Examples(NamedTuple):
    """Test images on one noise: number, pixels as a page shows them, PSNR in dB over the whole image."""

    noise: Noise
    has_noisy: bool  # whether the noisy images are others than the clean ones
    indices: Integer[np.ndarray, " n"]
    clean: UInt8[np.ndarray, "n height width channels"]
    noisy: UInt8[np.ndarray, "n height width channels"]
    restored: UInt8[np.ndarray, "n height width channels"]
    noisy_psnr: Float[np.ndarray, " n"]
    psnr: Float[np.ndarray, " n"]


def stronger(noise: Noise, multiple: float) -> Noise:
    """`noise` with one strength for each kind, `multiple` times the middle of its range.

    A probability becomes that of being hit in so many passes, 1 - (1 - p)^multiple; photons become fewer.
    """
    ranges = []
    for kind, (low, high) in zip(noise.kinds, noise.ranges.tolist(), strict=True):
        middle = (low + high) / 2
        value = {
            "factor": middle * multiple,
            "probability": 1 - (1 - middle) ** multiple,
            "peak": middle / multiple,
        }[KINDS[kind].strength]
        ranges.append((float(f"{value:.3g}"),) * 2)
    return Noise(noise.kinds, tuple(ranges), noise.clip)


def _restore(
    model: nn.Module, params: PyTree, noise: Noise, images: Array, indices: Array
) -> tuple[Array, Array, Array, Array]:
    """The noisy and the restored images as bytes, and the PSNR of each."""
    clean, noisy = scores.corrupt(noise, images, indices)
    restored, seen = scores.restore(model, params, noisy), scores.restore(None, {}, noisy)
    bytes_ = (jnp.round(jnp.clip(x, 0, 1) * 255).astype(jnp.uint8) for x in (seen, restored))
    return *bytes_, metrics.psnr(seen, clean), metrics.psnr(restored, clean)


def restore(
    model: nn.Module,
    params: PyTree,
    images: UInt8[np.ndarray, "n height width stored"],
    indices: Integer[np.ndarray, " m"],
    noise: Noise,
) -> Examples:
    """The test images number `indices`, at most `SAMPLE`, with their noise of every other evaluation.

    Of equal models and kinds of noise, the program is compiled once.
    """
    count = min(SAMPLE, len(images))
    padded = np.resize(indices, count)  # repeats them
    model = model.clone(way="xla")  # compiles fastest
    program = ops.jit(_restore, model.way, static_argnums=0)
    arrays = program(model, params, noise, images[padded], jnp.asarray(padded, jnp.uint32))
    noisy, restored, noisy_psnr, psnr = (array[: len(indices)] for array in jax.device_get(arrays))
    has_noisy = bool(noise.kinds) or halves.are_pairs(images.shape)
    views = (_view(pixels) for pixels in (halves.split(images[indices])[1], noisy, restored))
    return Examples(noise, has_noisy, indices, *views, noisy_psnr, psnr)


def _view(pixels: UInt8[np.ndarray, "n h w c"]) -> UInt8[np.ndarray, "n view_h view_w c"]:
    top, left = (max(0, size - VIEW) // 2 for size in pixels.shape[1:3])
    return pixels[:, top : top + VIEW, left : left + VIEW]


def shown(images: UInt8[np.ndarray, "n h w c"]) -> int:
    """How many test images a page has room for."""
    _, height, width, _ = images.shape
    return min(len(images), 12 if height * width <= 40 * 40 else 6)
