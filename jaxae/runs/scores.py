"""How well a network restores images, each with the same noise for every run.

If no clean images are known, the loss of a self-supervised objective takes the place of metrics.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, UInt32

from jaxae import metrics, ops
from jaxae.data.images import Images
from jaxae.networks import Network
from jaxae.noise import Noise
from jaxae.runs.evaluation_set import EvaluationSet
from jaxae.training import Draws, Objective, to_float

BATCH_SIZE = 128  # what the caches of a CPU hold
TEST_KEY = 123_456  # not a run's seed: all runs are tested on the same noisy images

Pixels = Float[Array, "n h w c"]


class Scores(NamedTuple):
    """The metrics of every image.

    Attributes:
        values: by the metric's name, one value for each image.
        spread: the standard deviation of the outputs over images, relative to that of the images themselves: near 0 if
            every input gets the same output; 1 if the images are all the same.
    """

    values: dict[str, Float[np.ndarray, " n"]]
    spread: float = 1.0

    def means(self) -> dict[str, float]:
        """Return the mean over images of each metric."""
        return {name: metrics.METRICS[name].mean(values) for name, values in self.values.items()}


def validation_score(record: Mapping[str, Any]) -> float | None:
    """Return the number that the best epoch has most of, from its metrics; None without a validation part."""
    return metrics.rank_score(
        {name.removeprefix("validation_"): record[name] for name in record if "validation_" in name}
    )


def restore_images(model: Network | None, params: PyTree, noisy: Pixels) -> Pixels:
    """Return the network's outputs; without a network `noisy` itself, clipped to [0, 1]."""
    return jnp.clip(noisy, 0, 1) if model is None else cast(Array, model.apply({"params": params}, noisy))


def add_test_noise(noise: Noise, images: Images, indices: UInt32[Array, " n"]) -> tuple[Pixels, Pixels]:
    """Return the clean and the noisy images, floats; an image gets the same noise in every run, by its number."""
    floats, key = jax.tree.map(to_float, images), jax.random.key(TEST_KEY)

    def one(index: Array, image: Array) -> Array:
        return noise(jax.random.fold_in(key, index), image)

    return floats.clean, jax.vmap(one)(indices, floats.input)


def _variance(images: Pixels, count: Array) -> Array:
    """The mean over pixels of the variance over the first `count` images: by products, as sums over images are slow."""
    weights = (jnp.arange(len(images), dtype=jnp.float32) < count).astype(jnp.float32) / count
    rows = images.reshape(len(images), -1)
    return jnp.mean(weights @ jnp.square(rows - (weights @ rows)[None]))


def _score_batch(
    how: tuple[Network | None, Objective | None],
    params: PyTree,
    noise: Noise,
    images: Images,
    indices: Array,
    count: Array,
) -> tuple[Mapping[str, Any], tuple[Array, Array]]:
    """The scores of each image, and the variances of the outputs and of the images they are compared with."""
    model, objective = how
    apply = functools.partial(restore_images, model, params)
    if objective is None:
        clean, noisy = add_test_noise(noise, images, indices)
        restored = apply(noisy)
        return metrics.compute(restored, clean), (_variance(restored, count), _variance(clean, count))
    floats = jax.tree.map(to_float, images)
    key = jax.random.fold_in(jax.random.key(TEST_KEY), indices[0])
    batch = objective.prepare(floats, noise, Draws(key, key, key, key, indices[0].astype(jnp.int32), indices))
    losses = objective.losses(apply, batch)
    losses = jnp.mean(losses, tuple(range(1, losses.ndim)))
    return {metrics.LOSS.name: losses}, (_variance(apply(floats.input), count), _variance(floats.input, count))


def score(model: Network | None, params: PyTree, evaluation: EvaluationSet) -> Scores:
    """Add noise to the images, restore them, and compare them with the clean ones, if those are known."""
    how, images = (model, evaluation.objective), evaluation.images
    program = ops.jit(_score_batch, ops.REFERENCE if model is None else model.backend, static_argnums=0)
    batches, variances = [], []
    for start in range(0, images.count, BATCH_SIZE):
        batch = images.take(slice(start, start + BATCH_SIZE))
        count = batch.count
        padding = [(0, BATCH_SIZE - count)] + [(0, 0)] * 3  # one program for all batches
        batch = jax.tree.map(lambda array, padding=padding: np.pad(array, padding), batch)
        indices = np.arange(start, start + BATCH_SIZE, dtype=np.uint32)
        values, variance = program(how, params, evaluation.noise, batch, indices, np.float32(count))
        batches.append((values, count))
        variances.append(variance)
    batches, variances = jax.device_get((batches, variances))  # after all of them were dispatched
    totals: Any = np.sum(variances, axis=0, dtype=np.float64)
    restored, known = totals
    spread = float(np.sqrt(restored / known)) if known > 1e-6 else 1.0  # the images differ by less than a grey level
    names = batches[0][0]
    return Scores({name: np.concatenate([values[name][:count] for values, count in batches]) for name in names}, spread)
