"""How well a network restores test images, each corrupted the same way for every run.

Where no clean images are known there is nothing to measure that with: the loss that needs none takes its place.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, PyTree, UInt8, UInt32

from jaxae import metrics, ops
from jaxae.data import halves
from jaxae.models import Autoencoder
from jaxae.noise import Noise
from jaxae.run.test_set import Alone, TestSet
from jaxae.training import self_supervised, to_float

BATCH_SIZE = 128  # what a CPU's caches hold
TEST_KEY = 123_456  # not a run's seed: all runs are tested on the same noisy images

Images = Float[Array, "n h w c"]


class Scores(NamedTuple):
    """Metrics per image, one each, and how far the restored images differ from one another.

    spread: their standard deviation over images, as a share of that of the clean ones: 0 where every input gets the
        same answer; 1 where the clean images are all the same.
    """

    mse: Float32[np.ndarray, " n"]
    psnr: Float32[np.ndarray, " n"]
    ssim: Float32[np.ndarray, " n"]
    spread: float = 1.0

    def means(self) -> dict[str, float]:
        """The mean over images of each metric; an image that is exact, of infinite PSNR, counts as 100 dB."""
        means = {name: float(np.mean(getattr(self, name), dtype=np.float64)) for name in ("mse", "psnr", "ssim")}
        return means | {"psnr": metrics.mean_psnr(self.psnr)}


class Losses(NamedTuple):
    """The self-supervised loss of each image, where no clean ones are known; `spread` is as in `Scores`."""

    loss: Float32[np.ndarray, " n"]
    spread: float = 1.0

    def means(self) -> dict[str, float]:
        """The mean over images."""
        return {"loss": float(np.mean(self.loss, dtype=np.float64))}


def merit(means: dict[str, Any]) -> float:
    """What the best checkpoint has most of: PSNR, or where there is none, the negative loss."""
    return means["psnr"] if "psnr" in means else -means["loss"]


def restore(model: Autoencoder | None, params: PyTree, noisy: Images) -> Images:
    """What the network makes of `noisy`; without one, `noisy` itself, clipped to [0, 1] as a picture shows it."""
    return jnp.clip(noisy, 0, 1) if model is None else model.apply({"params": params}, noisy)


def way(model: Autoencoder | None) -> str:
    """How `restore` computes, for `jaxae.ops.jit`."""
    return "xla" if model is None else model.way


def corrupt(noise: Noise, images: UInt8[Array, "n h w stored"], indices: UInt32[Array, " n"]) -> tuple[Images, Images]:
    """The clean and the noisy test images; image number i of a test split has the same noise in every run.

    Of pairs these are the halves, with the noise, if there is any, on the noisy one.
    """
    (source, clean), key = halves.split(to_float(images)), jax.random.key(TEST_KEY)

    def one(index: Array, image: Array) -> Array:
        return noise(jax.random.fold_in(key, index), image)

    return clean, jax.vmap(one)(indices, source)


def compare(restored: Images, clean: Images) -> tuple[Array, Array, Array]:
    """MSE, PSNR and SSIM of each image."""
    return metrics.mse(restored, clean), metrics.psnr(restored, clean), metrics.ssim(restored, clean)


def _variance(images: Images, count: Array) -> Array:
    """The variance over the first `count` images, its mean over pixels: products, since sums over images are slow."""
    weights = (jnp.arange(len(images), dtype=jnp.float32) < count).astype(jnp.float32) / count
    rows = images.reshape(len(images), -1)
    return jnp.mean(weights @ jnp.square(rows - (weights @ rows)[None]))


def _score_batch(
    model: Autoencoder | None, params: PyTree, noise: Noise, images: Array, indices: Array, count: Array
) -> tuple[tuple[Array, Array, Array], tuple[Array, Array]]:
    clean, noisy = corrupt(noise, images, indices)
    restored = restore(model, params, noisy)
    return compare(restored, clean), (_variance(restored, count), _variance(clean, count))


def _score_batch_alone(
    model: Autoencoder, alone: Alone, params: PyTree, images: Array, indices: Array, count: Array
) -> tuple[tuple[Array], tuple[Array, Array]]:
    noisy, key = to_float(images), jax.random.fold_in(jax.random.key(TEST_KEY), indices[0])
    shifts = indices.astype(jnp.int32)  # of the masks: each image has one, and all are in turn
    batch = self_supervised.prepare(alone.target, noisy, shifts, key, jnp.float32(alone.sigma))
    losses = self_supervised.losses(alone.target, model, params, *batch)
    return (losses,), (_variance(restore(model, params, noisy), count), _variance(noisy, count))


def score(model: Autoencoder | None, params: PyTree, test: TestSet) -> Scores | Losses:
    """Corrupt the test images, `restore` them and compare them with the originals, if those are known."""
    if test.alone is None:
        program = functools.partial(ops.jit(_score_batch, way(model), static_argnums=0), model, params, test.noise)
        values, spread = _score(program, test.images)
        return Scores(*values, spread)
    alone = ops.jit(_score_batch_alone, way(model), static_argnums=(0, 1))
    values, spread = _score(functools.partial(alone, model, test.alone, params), test.images)
    return Losses(*values, spread)


def _score(program: Callable, images: UInt8[np.ndarray, "n h w stored"]) -> tuple[list[np.ndarray], float]:
    batches, variances = [], []
    for start in range(0, len(images), BATCH_SIZE):
        batch = images[start : start + BATCH_SIZE]
        padding = [(0, BATCH_SIZE - len(batch))] + [(0, 0)] * 3  # one program for all batches
        indices = np.arange(start, start + BATCH_SIZE, dtype=np.uint32)
        scores, variance = program(np.pad(batch, padding), indices, np.float32(len(batch)))
        batches.append((scores, len(batch)))
        variances.append(variance)
    batches, variances = jax.device_get((batches, variances))  # once all of them are on their way
    restored, known = np.sum(variances, axis=0, dtype=np.float64)
    spread = float(np.sqrt(restored / known)) if known > 1e-6 else 1.0  # the images differ by less than a grey level
    kept = [[values[:count] for values in scores] for scores, count in batches]
    return [np.concatenate(values) for values in zip(*kept, strict=True)], spread
