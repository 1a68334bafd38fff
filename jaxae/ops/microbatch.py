"""Gradients of a batch in parts, so that the activations of a part stay in the cache until its gradient reads them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax


def largest_divisor(batch_size: int, most: int | None) -> int:
    """Return the largest divisor of `batch_size` up to `most`, or `batch_size` itself if that is None."""
    return next(n for n in range(min(batch_size, most or batch_size), 0, -1) if batch_size % n == 0)


def value_and_grad(loss_fn: Callable[..., Array], most: int | None) -> Callable[..., tuple[Array, Any]]:
    """Return `jax.value_and_grad` of ``loss_fn(params, *batch)``, a mean over the batch, computed in parts.

    Args:
        loss_fn: the loss; every array of `batch` has the batch as its first axis.
        most: the largest number of images in a part; None for the whole batch.
    """
    whole = jax.value_and_grad(loss_fn)

    def in_parts(params: Any, *batch: Array) -> tuple[Array, Any]:
        batch_size = len(batch[0])
        part = largest_divisor(batch_size, most)
        if part == batch_size:
            return whole(params, *batch)

        def split(x: Array) -> Array:
            # strided, so that a part takes its share from each device of a sharded batch
            return jnp.moveaxis(x.reshape(part, batch_size // part, *x.shape[1:]), 1, 0)

        def add(total: Any, images: tuple[Array, ...]) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, whole(params, *images)), None

        zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(whole, params, *batch))
        total, _ = lax.scan(add, zero, tuple(map(split, batch)))
        return jax.tree.map(lambda x: x * (part / batch_size), total)

    return in_parts
