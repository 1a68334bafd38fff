"""The test of a network, a pure function: noise on images, the network's outputs, the metrics of each image.

Every image gets the same noise in every run. If no clean images are known, the loss of a self-supervised objective
takes the place of metrics.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PyTree, UInt32

from jaxae import metrics, ops
from jaxae.data.images import Images
from jaxae.networks import Network
from jaxae.noise import Noise
from jaxae.training import parallel
from jaxae.training.objectives import Draws, Objective, is_blind
from jaxae.training.step import to_float

BATCH_SIZE = 128  # what the caches of a CPU hold
CHUNK_BYTES = 32 * 2**20  # of images that are tested from the host
TEST_KEY = 123_456  # not a run's seed: all runs are tested on the same noisy images

Pixels = Float[Array, "n h w c"]
Values = dict[str, Any]


class Batches(NamedTuple):
    """Images in batches of one size, on which one program tests; the last batches are padding.

    Attributes:
        images: uint8 [batches, size, height, width, channels].
        count: the number of images.
    """

    images: Images
    count: Any

    @property
    def size(self) -> int:
        """The number of images with the padding."""
        return self.images.shape[0] * self.images.shape[1]


class Measured(NamedTuple):
    """The result of a test.

    Attributes:
        values: by the metric's name, one value for each image, and then those of the padding.
        means: by the metric's name, the mean over images.
        spread: the standard deviation of the outputs over images, relative to that of the images themselves: near 0 if
            every input gets the same output; 1 if the images are all the same.
    """

    values: Values
    means: Values
    spread: Any


def restore_images(model: Network | None, params: PyTree, noisy: Pixels) -> Pixels:
    """Return the network's outputs; without a network `noisy` itself, clipped to [0, 1]."""
    return jnp.clip(noisy, 0, 1) if model is None else cast(Array, model.apply({"params": params}, noisy))


def add_test_noise(noise: Noise, images: Images, indices: UInt32[Array, " n"]) -> tuple[Pixels, Pixels]:
    """Return the clean and the noisy images, floats; an image gets the same noise in every run, by its number."""
    floats, key = jax.tree.map(to_float, images), jax.random.key(TEST_KEY)

    def one(index: Array, image: Array) -> Array:
        return noise(jax.random.fold_in(key, index), image)

    return floats.clean, jax.vmap(one)(indices, floats.input)


def tested_objective(objective: Objective, noise: Noise) -> Objective | None:
    """Return the objective whose loss a test reports; None if clean images are known, and metrics compare with them."""
    return objective if is_blind(objective, noise) else None


def batch_images(images: Images, parts: int = 1, size: int | None = None) -> Batches:
    """Divide images, of NumPy or JAX, into batches of `size`, whose number is a multiple of `parts`."""
    size = size or min(BATCH_SIZE, images.count)
    batches = -(-images.count // (size * parts)) * parts
    padding = [(0, batches * size - images.count)] + [(0, 0)] * 3

    def divide(array: Any) -> Any:
        pad: Any = np.pad if isinstance(array, np.ndarray) else jnp.pad
        return pad(array, padding).reshape(batches, size, *images.shape[1:])

    return Batches(jax.tree.map(divide, images), np.array(images.count, np.int32))


def measure(
    model: Network | None,
    objective: Objective | None,
    params: PyTree,
    noise: Noise,
    batches: Batches,
    devices: parallel.Devices | None = None,
) -> Measured:
    """Test on images; see `tested_objective` for the objective."""
    return _summarize(*_measure(model, objective, params, noise, batches, 0, devices), batches.count)


def measure_from_host(
    model: Network | None, objective: Objective | None, params: PyTree, noise: Noise, images: Images
) -> Measured:
    """Test on images of any number, moved to the default device chunk by chunk; the result is on the host."""
    program = ops.jit(_measure, ops.REFERENCE if model is None else model.backend, static_argnums=(0, 1, 6))
    size, chunks = min(BATCH_SIZE, images.count), -(-images.nbytes // CHUNK_BYTES)
    parts = -(-images.count // (size * chunks))  # the batches of a chunk, which share a program
    results = []
    for start in range(0, images.count, parts * size):
        batches = batch_images(images.take(slice(start, start + parts * size)), parts, size)
        results.append(program(model, objective, params, noise, batches, np.uint32(start), None))
    results = jax.device_get(results)  # after all of them were dispatched
    sums = jax.tree.map(lambda *each: np.sum(each, dtype=np.float64), *(sums for _, sums in results))
    whole = _summarize({}, sums, images.count)
    values = {name: np.concatenate([each[name] for each, _ in results])[: images.count] for name in whole.means}
    return whole._replace(values=values)


def _measure(
    model: Network | None,
    objective: Objective | None,
    params: PyTree,
    noise: Noise,
    batches: Batches,
    first: Any,
    devices: parallel.Devices | None,
) -> tuple[Values, Values]:
    """The metrics of each image, and sums over images; `first` is the number of the first image."""
    number, size = jax.tree.leaves(batches.images)[0].shape[:2]
    starts = jnp.arange(number, dtype=jnp.uint32) * size

    def each(shared: tuple, parts: tuple[Images, Array]) -> tuple[Values, Values]:
        return lax.map(functools.partial(_measure_batch, model, objective, *shared), parts)

    shared = (params, noise, jnp.asarray(batches.count), jnp.uint32(first))
    values, sums = parallel.share(each, devices)(shared, (batches.images, starts))
    return jax.tree.map(jnp.ravel, values), jax.tree.map(jnp.sum, sums)


def _measure_batch(
    model: Network | None,
    objective: Objective | None,
    params: PyTree,
    noise: Noise,
    total: Array,
    first: Array,
    batch: tuple[Images, Array],
) -> tuple[Mapping[str, Any], Values]:
    images, start = batch
    indices = first + start + jnp.arange(images.count, dtype=jnp.uint32)
    count = jnp.clip(total - start.astype(jnp.int32), 0, images.count)
    apply = functools.partial(restore_images, model, params)
    if objective is None:
        clean, noisy = add_test_noise(noise, images, indices)
        restored = apply(noisy)
        values = metrics.compute(restored, clean)
    else:
        floats = jax.tree.map(to_float, images)
        key = jax.random.fold_in(jax.random.key(TEST_KEY), indices[0])
        draws = Draws(key, key, key, key, indices[0].astype(jnp.int32), indices)
        losses = objective.losses(apply, objective.prepare(floats, noise, draws))
        values = {metrics.LOSS.name: jnp.mean(losses, tuple(range(1, losses.ndim)))}
        clean, restored = floats.input, apply(floats.input)
    weights = (jnp.arange(images.count) < count).astype(jnp.float32)
    sums = {name: jnp.sum(jnp.where(weights > 0, _capped(name, each), 0)) for name, each in values.items()}
    variances = {"outputs": _variance(restored, weights), "images": _variance(clean, weights)}
    return values, sums | variances


def _capped(name: str, values: Any) -> Array:
    cap = metrics.METRICS[name].cap
    return values if cap is None else jnp.minimum(values, cap)


def _variance(images: Pixels, weights: Array) -> Array:
    """The mean over pixels of the variance over the images of weight 1: by products, as sums over images are slow."""
    weights = weights / jnp.maximum(jnp.sum(weights), 1)
    rows = images.reshape(len(images), -1)
    return jnp.mean(weights @ jnp.square(rows - (weights @ rows)[None]))


def _summarize(values: Values, sums: Values, count: Any) -> Measured:
    sums, total = {name: jnp.asarray(each, jnp.float32) for name, each in sums.items()}, jnp.asarray(count, jnp.float32)
    means = {name: sums[name] / total for name in sums if name in metrics.METRICS}
    known = jnp.maximum(sums["images"], 1e-6)  # the images differ by less than a grey level
    spread = jnp.where(sums["images"] > 1e-6, jnp.sqrt(sums["outputs"] / known), 1.0)
    return Measured(values, means, spread)
