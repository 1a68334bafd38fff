"""Toom–Cook convolutions for CPUs: a third or a fifth of the products, between transforms that are sums.

Along an axis, k taps over n = m + k - 1 inputs give m outputs with n products instead of m·k (Winograd, 1980; Lavin and
Gray, arXiv:1509.09308). A product of polynomials with k and m coefficients is determined by its values at n points, and
a correlation is the transpose of that map. An axis needs three matrices with
``Σ_p kernel[p, j] · wide[p, i] · narrow[p, o] = 1 if i = o + j - padding, else 0``. The convolution, its transpose and
the gradients are each a batched matrix product between transforms of the other two.

The points are n directions (cos θ, sin θ), evenly spaced over half a turn, which round less than the usual 0, ±1/2, ±1
(``benchmarks/LOG.md``). In a bfloat16 run these layers are computed in float32 and rounded afterwards.
"""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxae.ops.sums import bias_gradient, store, tree_sum

# More points lose digits, more tiles take long to compile, and with fewer channels the transforms cost more than the
# products save.
MOST_POINTS = 8
MOST_TILES = 2
LEAST_TAPS = 3
LEAST_CHANNELS = 16


class Axis(NamedTuple):
    """The sizes of a layer along one axis.

    Attributes:
        taps: of the kernel.
        wide: the number of inputs of the convolution.
        narrow: the number of its outputs.
        padding: of the convolution.
        transposed: whether the layer is the transpose, from narrow to wide with the kernel flipped.
    """

    taps: int
    wide: int
    narrow: int
    padding: int = 0
    transposed: bool = False

    @property
    def tiles(self) -> int:
        """The number of tiles that the outputs are computed in: none may need more than `MOST_POINTS`."""
        return -(-self.narrow // (MOST_POINTS + 1 - self.taps))


class Transforms(NamedTuple):
    """The matrices of an axis, float64 with one row for each product: of the kernel, the input and the output."""

    kernel: np.ndarray
    x: np.ndarray
    y: np.ndarray


def powers(points: int, length: int) -> np.ndarray:
    """Return ``cos^(length - 1 - j) θ · sin^j θ``, [points, length], for θ evenly spaced over half a turn."""
    angles = np.pi * np.arange(points)[:, None] / points
    j = np.arange(length)
    return np.cos(angles) ** (length - 1 - j) * np.sin(angles) ** j


@lru_cache
def transforms(axis: Axis) -> Transforms:
    """Return the matrices of `axis`, one tile after the other."""
    tiles = []
    for outputs in np.array_split(np.arange(axis.narrow), axis.tiles):
        points = len(outputs) + axis.taps - 1
        seen = np.arange(points) + outputs[0] - axis.padding  # padding contributes no products
        wide = np.linalg.inv(powers(points, points)).T @ np.equal.outer(seen, np.arange(axis.wide))
        narrow = powers(points, len(outputs)) @ np.equal.outer(outputs, np.arange(axis.narrow))
        tiles.append((powers(points, axis.taps), wide, narrow))
    kernel, wide, narrow = (np.concatenate(parts) for parts in zip(*tiles, strict=True))
    return Transforms(kernel[:, ::-1], narrow, wide) if axis.transposed else Transforms(kernel, wide, narrow)


def pays(axis: Axis) -> bool:
    """Return whether the transforms save enough products along `axis`."""
    return LEAST_TAPS <= axis.taps < MOST_POINTS and axis.narrow > 1 and axis.tiles <= MOST_TILES


def axes(
    kernel: Sequence[int], wide: Sequence[int], narrow: Sequence[int], padding: int, transposed: bool = False
) -> list[Axis] | None:
    """Return the two axes of a layer for `layer`, or None if this algorithm does not pay.

    Args:
        kernel: the shape of the kernel.
        wide: height and width of the inputs of the convolution.
        narrow: height and width of its outputs.
        padding: of the convolution.
        transposed: whether the layer is the transpose, from narrow to wide.
    """
    pair = [Axis(*sizes, padding, transposed) for sizes in zip(kernel[:2], wide, narrow, strict=True)]
    return pair if min(kernel[2:]) >= LEAST_CHANNELS and all(map(pays, pair)) else None


def combine(coefficients: np.ndarray, terms: Sequence[Array]) -> Array:
    """Return the sum of `coefficients` times `terms`, without the terms of coefficient 0."""
    pairs = zip(coefficients, terms, strict=True)
    return tree_sum([float(factor) * term for factor, term in pairs if abs(factor) > 1e-9])


def to_points(x: Array, rows: np.ndarray, columns: np.ndarray) -> list[Array]:
    """Transform [h, c, w, n] to an array [points, c, n] for each row of points."""
    points = []
    for row in rows:
        line = store(combine(row, list(x)))
        line = [line[:, j] for j in range(x.shape[2])]
        points.append(store(jnp.stack([combine(column, line) for column in columns])))
    return points


def from_points(points: list[Array], rows: np.ndarray, columns: np.ndarray) -> Array:
    """Transform back by the transposed matrices."""
    lines = [store(jnp.stack([combine(column, list(line)) for column in columns.T], 1)) for line in points]
    return jnp.stack([combine(row, lines) for row in rows.T])


def multiply(subscripts: str, left: list[Array], right: list[Array]) -> list[Array]:
    """Return batched matrix products, one for each row of points: XLA:CPU runs each on one core, several at once."""
    return [store(jnp.einsum(subscripts, a, b)) for a, b in zip(left, right, strict=True)]


def kernel_to_points(kernel: Array, rows: np.ndarray, columns: np.ndarray) -> list[Array]:
    """Transform [kh, kw, in, out] to an array [points, in, out] for each row of points, by one product."""
    both = jnp.asarray(np.kron(rows, columns), kernel.dtype)
    return list(store((both @ kernel.reshape(both.shape[1], -1)).reshape(len(rows), len(columns), *kernel.shape[2:])))


def kernel_from_points(points: list[Array], rows: np.ndarray, columns: np.ndarray) -> Array:
    """Transform back by the transposed matrices."""
    both = jnp.asarray(np.kron(rows, columns), points[0].dtype)
    kernel = both.T @ jnp.concatenate(points).reshape(len(both), -1)
    return kernel.reshape(rows.shape[1], columns.shape[1], *points[0].shape[1:])


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def layer(x: Array, kernel: Array, bias: Array, rows: Axis, columns: Axis) -> Array:
    """Return the convolution or transposed convolution of `x`, [h, c, w, n], with these axes."""
    return _forward(x, kernel, bias, rows, columns)[0]


def _forward(x, kernel, bias, rows, columns):
    of_kernel, of_x, of_y = zip(transforms(rows), transforms(columns), strict=True)
    kernel, x = kernel_to_points(kernel, *of_kernel), to_points(store(x), *of_x)
    y = multiply("pio,pin->pon", kernel, x)
    return from_points(y, *of_y) + bias[None, :, None, None], (x, kernel)


def _backward(rows, columns, saved, dy):
    of_kernel, of_x, of_y = zip(transforms(rows), transforms(columns), strict=True)
    x, kernel = saved
    dy = store(dy)
    to_y = to_points(dy, *of_y)
    dx = from_points(multiply("pio,pon->pin", kernel, to_y), *of_x)
    dk = kernel_from_points(multiply("pin,pon->pio", x, to_y), *of_kernel)
    return dx, dk, bias_gradient(dy)


layer.defvjp(_forward, _backward)
