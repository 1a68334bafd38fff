"""How well a network restores test images, each corrupted the same way for every run."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Float32, PyTree, UInt8, UInt32

from jaxae import metrics
from jaxae.noise import Noise
from jaxae.train import to_float

BATCH_SIZE = 500
EXACT_PSNR = 100.0
TEST_KEY = 123_456  # not a run's seed: all runs are tested on the same noisy images

Restore = Callable[[PyTree, Array], Array]  # a model's `apply`, or a function like `clipped`


class Scores(NamedTuple):
    """Figures per image, one each."""

    mse: Float32[np.ndarray, " n"]
    psnr: Float32[np.ndarray, " n"]
    ssim: Float32[np.ndarray, " n"]

    def means(self) -> dict[str, float]:
        """The mean over images of each figure; an image that is exact, of infinite PSNR, counts as 100 dB."""
        finite = self._replace(psnr=np.minimum(self.psnr, EXACT_PSNR))
        return {name: float(np.mean(values, dtype=np.float64)) for name, values in finite._asdict().items()}


def clipped(variables: PyTree, noisy: Float[Array, "batch h w c"]) -> Float[Array, "batch h w c"]:
    """No network: the noisy image itself, as a picture shows it."""
    return jnp.clip(noisy, 0, 1)


def corrupt(
    noise: Noise,
    images: UInt8[Array, "n h w c"],
    indices: UInt32[Array, " n"],
    strengths: Float[ArrayLike, "kinds 2"] | None = None,
) -> tuple[Float[Array, "n h w c"], Float[Array, "n h w c"]]:
    """The clean and the noisy test images; image number i of a test split has the same noise in every run.

    strengths: of the noise, in place of its own; may be traced.
    """
    clean, key = to_float(images), jax.random.key(TEST_KEY)
    strengths = noise.strengths if strengths is None else strengths

    def one(index: Array, image: Array) -> Array:
        return noise.apply(jax.random.fold_in(key, index), image, strengths)

    return clean, jax.vmap(one)(indices, clean)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _score_batch(
    restore: Restore, noise: Noise, variables: PyTree, images: Array, indices: Array
) -> tuple[Array, Array, Array]:
    clean, noisy = corrupt(noise, images, indices)
    restored = restore(variables, noisy)
    return metrics.mse(restored, clean), metrics.psnr(restored, clean), metrics.ssim(restored, clean)


def score(restore: Restore, variables: PyTree, images: UInt8[np.ndarray, "n h w c"], noise: Noise) -> Scores:
    """Corrupt `images`, restore them with ``restore(variables, noisy)``, and compare with the originals."""
    batches = []
    for start in range(0, len(images), BATCH_SIZE):
        batch = images[start : start + BATCH_SIZE]
        padding = [(0, BATCH_SIZE - len(batch))] + [(0, 0)] * 3  # one program for all batches
        indices = np.arange(start, start + BATCH_SIZE, dtype=np.uint32)
        scores = _score_batch(restore, noise, variables, np.pad(batch, padding), indices)
        batches.append([values[: len(batch)] for values in scores])
    return Scores(*(np.concatenate(jax.device_get(values)) for values in zip(*batches, strict=True)))


def means_with_noisy(scores: Scores, images: UInt8[np.ndarray, "n h w c"], noise: Noise) -> dict[str, float]:
    """The means of `scores`, and where there is noise those of the noisy input itself as ``noisy_mse`` and so on."""
    means = scores.means()
    if not noise.kinds:
        return means
    return means | {f"noisy_{name}": value for name, value in score(clipped, {}, images, noise).means().items()}
