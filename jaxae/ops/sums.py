"""Sums in the forms that XLA:CPU computes fast, and the barrier that ends a fusion."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax

# Ends a fusion: its operand is computed once and stored, and not again for each of its readers.
store = lax.optimization_barrier


def tree_sum(terms: Sequence[Array], chain: int = 8) -> Array:
    """Return the sum of `terms`: chains of `chain` multiply-adds, joined as a tree so that several are in flight."""
    sums = []
    for start in range(0, len(terms), chain):
        total = terms[start]
        for term in terms[start + 1 : start + chain]:
            total = total + term
        sums.append(total)
    while len(sums) > 1:
        pairs = [a + b for a, b in zip(sums[::2], sums[1::2], strict=False)]
        sums = pairs + sums[len(sums) - len(sums) % 2 :]
    return sums[0]


def bias_gradient(dy: Array) -> Array:
    """Sum [h, c, w, n] over all axes but the channels: first with the batch in the lanes, then over the lanes."""
    return store(dy.sum((0, 2))) @ jnp.ones(dy.shape[3], dy.dtype)
