"""Test images restored for a page: at several strengths of noise, and the worst and the best of them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer, UInt8

from jaxae.data import halves
from jaxae.noise import KINDS, Noise
from jaxae.report.run import Run
from jaxae.run import samples

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


def restore(run: Run, indices: Integer[np.ndarray, " m"], noise: Noise) -> Examples:
    """The test images of `run` number `indices`, see `jaxae.run.samples`, as a page shows them."""
    images = run.test.images
    found = samples.restore(run.model, run.params, images, indices, noise)
    has_noisy = bool(noise.kinds) or halves.are_pairs(images.shape)
    stored = halves.split(images[indices])[1]  # as bytes already
    views = (_view(pixels) for pixels in (stored, _as_bytes(found.noisy), _as_bytes(found.restored)))
    return Examples(noise, has_noisy, indices, *views, found.noisy_psnr, found.psnr)


def _as_bytes(pixels: Float[np.ndarray, "n h w c"]) -> UInt8[np.ndarray, "n h w c"]:
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def _view(pixels: UInt8[np.ndarray, "n h w c"]) -> UInt8[np.ndarray, "n view_h view_w c"]:
    top, left = (max(0, size - VIEW) // 2 for size in pixels.shape[1:3])
    return pixels[:, top : top + VIEW, left : left + VIEW]


def shown(images: UInt8[np.ndarray, "n h w c"]) -> int:
    """How many test images a page has room for."""
    _, height, width, _ = images.shape
    return min(len(images), 12 if height * width <= 40 * 40 else 6)
