"""Gradients of a batch in parts, so that the activations of a part stay in the cache until its gradient reads them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

# Vector registers hold the images of a part: of other sizes than multiples of 8 the last registers are partly empty,
# and XLA:CPU compiles a slow second loop for them.
LANES = 8

# What a part costs beside its images, as a number of images.
OVERHEAD = 2


def part_size(batch_size: int, most: int | None) -> int:
    """Return how many images, at most `most`, to compute at a time: the last part is filled up, which costs least.

    Args:
        batch_size: images in the batch.
        most: the largest number of images in a part; None for the whole batch.
    """
    if most is None:
        return batch_size
    sizes = [size for size in (1, 2, 4, *range(LANES, most, LANES), most) if size <= most]
    return min(sizes, key=lambda size: (-(-batch_size // size) * (size + OVERHEAD), -size))


def value_and_grad(losses: Callable[..., Array], most: int | None) -> Callable[..., tuple[Array, Any]]:
    """Return `jax.value_and_grad` of the mean of ``losses(params, *batch)``, computed in parts of equal size.

    The last part is filled up with images of weight 0.

    Args:
        losses: a function whose values, and every array of `batch`, have the batch as their first axis.
        most: the largest number of images in a part; None for the whole batch.
    """

    def weighted_mean(params: Any, weights: Array | None, *batch: Array) -> Array:
        values = losses(params, *batch)
        return jnp.mean(values if weights is None else values * weights.reshape(-1, *[1] * (values.ndim - 1)))

    mean_and_grad = jax.value_and_grad(weighted_mean)

    def in_parts(params: Any, *batch: Array) -> tuple[Array, Any]:
        batch_size = len(batch[0])
        part = part_size(batch_size, most)
        parts = -(-batch_size // part)
        total = parts * part
        inputs, weights = batch, None
        if total > batch_size:
            # repeated images, since the losses of zeros may not be finite
            inputs = tuple(jnp.concatenate([x, x[: total - batch_size]]) for x in batch)
            weights = jnp.where(jnp.arange(total) < batch_size, total / batch_size, 0.0)
        if parts == 1:
            return mean_and_grad(params, weights, *inputs)

        def take(x: Array, number: Array) -> Array:
            # A TPU has the batch in lanes, where a part of neighbours is a slice and any other is gathered.
            return lax.platform_dependent(
                x,
                number,
                tpu=lambda x, number: lax.dynamic_slice_in_dim(x, number * part, part),
                default=lambda x, number: x.reshape(part, parts, *x.shape[1:])[:, number],
            )

        def add(sums: Any, number: Array) -> tuple[Any, None]:
            taken = jax.tree.map(lambda x: take(x, number), (weights, *inputs))
            return jax.tree.map(jnp.add, sums, mean_and_grad(params, *taken)), None

        shapes = jax.eval_shape(mean_and_grad, params, weights, *inputs)
        zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        sums, _ = lax.scan(add, zero, jnp.arange(parts))
        return jax.tree.map(lambda x: x * (1 / parts), sums)

    return in_parts
