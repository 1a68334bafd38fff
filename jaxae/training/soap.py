"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al., arXiv:2409.11321, 2024).

Adam scales each component of the gradient separately, which suits weights badly whose effects on the loss are
correlated, as those of a small convolution. SOAP rotates each axis of the gradient to the eigenvectors of its second
moment, the mean of ``G @ G.T``, runs Adam on the rotated gradient, and rotates the step back. The eigenvectors follow
the moments by one step of orthogonal iteration at each refresh (the paper's algorithm 4), starting from the identity.
Vectors, the biases, are left to plain Adam, as in the paper.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int32, PyTree

Matrices = tuple[Float[Array, "_ _"], ...]  # one for each axis


class SoapState(NamedTuple):
    """The state of the optimizer.

    Attributes:
        count: the number of steps.
        mean: the mean of the gradient, in the shapes of `_merged`.
        square: the mean of its square in the coordinates of `bases`, in the same shapes.
        moments: the second moments, `Matrices` for each parameter.
        bases: their eigenvectors, in columns.
    """

    count: Int32[Array, ""]  # pyright: ignore[reportIncompatibleMethodOverride]
    mean: PyTree
    square: PyTree
    moments: PyTree
    bases: PyTree


def scale_by_soap(
    b1: float = 0.9, b2: float = 0.95, eps: float = 1e-8, refresh_every: int = 5
) -> optax.GradientTransformation:
    """Return SOAP with a learning rate of 1, like `optax.scale_by_adam`.

    A kernel [h, w, in, out] has a matrix for its h * w pixels, one for its inputs and one for its outputs.

    Args:
        b1: decay of the mean of the gradient.
        b2: decay of the means of its square and of its second moments.
        eps: added to the root of the mean square.
        refresh_every: steps from one refresh of the eigenvectors to the next.
    """

    def init(params: PyTree) -> SoapState:
        merged = jax.tree.map(_merged, params)
        zeros, square = jax.tree.map(jnp.zeros_like, merged), jax.tree.map(jnp.zeros_like, merged)
        moments = jax.tree.map(lambda x: tuple(jnp.zeros((n, n), x.dtype) for n in _turned(x)), merged)
        bases = jax.tree.map(lambda x: tuple(jnp.eye(n, dtype=x.dtype) for n in _turned(x)), merged)
        return SoapState(jnp.int32(0), zeros, square, moments, bases)

    def update(updates: PyTree, state: PyTree, params: PyTree | None = None) -> tuple[PyTree, SoapState]:
        merged, count = jax.tree.map(_merged, updates), state.count + 1
        moments = optax.tree.update_moment(jax.tree.map(_second_moments, merged), state.moments, b2, 1)
        bases = jax.lax.cond(
            state.count % refresh_every == 0,
            lambda: jax.tree.map(lambda moment, basis: jnp.linalg.qr(moment @ basis)[0], moments, state.bases),
            lambda: state.bases,
        )
        mean = optax.tree.update_moment(merged, state.mean, b1, 1)
        square = optax.tree.update_moment(jax.tree.map(_turn, merged, bases), state.square, b2, 2)

        def step(mean: Array, square: Array, basis: Matrices, grad: Array) -> Array:
            return _turn_back(_turn(mean, basis) / (jnp.sqrt(square) + eps), basis).reshape(grad.shape)

        unbiased = optax.tree.bias_correction(mean, b1, count), optax.tree.bias_correction(square, b2, count)
        return jax.tree.map(step, *unbiased, bases, updates), SoapState(count, mean, square, moments, bases)

    return optax.GradientTransformation(init, update)


def _merged(param: Array) -> Array:
    """Reshape a kernel [h, w, in, out] to [h * w, in, out] without axes of 1: pixels are correlated in both axes."""
    if param.ndim < 4:
        return param
    height, width, *channels = param.shape
    return param.reshape([n for n in (height * width, *channels) if n > 1])


def _turned(merged: Array) -> tuple[int, ...]:
    """Return the sizes of the axes that have a basis."""
    return merged.shape if merged.ndim > 1 else ()


def _second_moments(grad: Array) -> Matrices:
    rows = [jnp.moveaxis(grad, axis, 0).reshape(size, -1) for axis, size in enumerate(_turned(grad))]
    return tuple(x @ x.T for x in rows)


def _turn(grad: Array, bases: Matrices) -> Array:
    """Rotate each axis to the coordinates of its basis."""
    for basis in bases:  # each time the first axis moves to the end: after all of them the order is the old one
        grad = jnp.tensordot(grad, basis, axes=(0, 0))
    return grad


def _turn_back(grad: Array, bases: Matrices) -> Array:
    return _turn(grad, tuple(basis.T for basis in bases))
