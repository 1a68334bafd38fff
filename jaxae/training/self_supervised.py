"""Training on noisy images alone: the losses of Noise2Self and of Monte-Carlo SURE, which need no clean image.

Every image has one noisy copy. Both losses are means over what a network makes of it, in expectation the error to the
clean image: Noise2Self's up to a constant, the noise's own variance, where the noise of each pixel is independent and
has mean 0; SURE's itself, where it is Gaussian of known strength.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int32, Key, PyTree

Target = Literal["self", "sure"]
Images = Float[Array, "batch height width channels"]

TARGETS = "self", "sure"
GRID = 4  # masked pixels are so far apart along each axis
PROBE = 1e-2  # how far the input is moved to see how the output follows


def prepare(
    target: Target, noisy: Images, shifts: Int32[Array, " batch"], key: Key[Array, ""], deviation: Float[Array, ""]
) -> tuple[Images, Images, Float[Array, "batch _ _ _"]]:
    """The arguments of `losses` for a batch of noisy images, each of them divisible along the batch.

    shifts: which of the grid's GRID² places is masked in each image, for "self".
    key: of the direction in which each image is moved, for "sure".
    deviation: the noise's standard deviation, for "sure".
    """
    if target == "self":
        mask = grid(noisy.shape[1], noisy.shape[2], shifts)
        return noisy + mask * (neighbours(noisy) - noisy), noisy, mask
    direction = jax.random.rademacher(key, noisy.shape, noisy.dtype)
    return noisy, direction, jnp.broadcast_to(deviation, (len(noisy), 1, 1, 1))


def losses(
    target: Target,
    model: nn.Module,
    params: PyTree,
    images: Images,
    other: Images,
    weights: Float[Array, "batch _ _ _"],
) -> Float[Array, " batch"]:
    """The loss of each image, from what `prepare` gives.

    "self" is the squared error at masked pixels, to their own noisy values (Batson and Royer, "Noise2Self", ICML 2019,
    eq. 3). "sure" is |f(y) - y|² / n - σ² + 2 σ² div f(y) / n, with the divergence from one random direction b of ±1,
    b · (f(y + εb) - f(y)) / ε (Ramani, Blu and Unser, IEEE Trans. Image Processing 17, 2008, eqs. 9 and 14): an
    estimate of the mean squared error, which can fall below 0.
    """

    def restore(images: Images) -> Images:
        return model.apply({"params": params}, images)

    restored = restore(images)
    if target == "self":
        count = jnp.sum(weights, (1, 2, 3)) * other.shape[3]
        return jnp.sum(weights * jnp.square(restored - other), (1, 2, 3)) / count
    divergence = jnp.mean(other * (restore(images + PROBE * other) - restored), (1, 2, 3)) / PROBE
    variance = jnp.square(weights[:, 0, 0, 0])
    return jnp.mean(jnp.square(restored - images), (1, 2, 3)) - variance + 2 * variance * divergence


def grid(height: int, width: int, shifts: Int32[Array, " batch"]) -> Float[Array, "batch height width 1"]:
    """1 at the pixels of a grid, 0 elsewhere: over GRID² shifts in a row every pixel is 1 once."""
    rows, columns = (shifts // GRID % GRID)[:, None], (shifts % GRID)[:, None]
    at_rows = jnp.arange(height)[None] % GRID == rows
    at_columns = jnp.arange(width)[None] % GRID == columns
    return (at_rows[:, :, None, None] & at_columns[:, None, :, None]).astype(jnp.float32)


def neighbours(images: Images) -> Images:
    """The mean of each pixel's eight neighbours, those beside it counting double; at an edge of what there is inside.

    The pixel itself does not count, nor, across an edge, what is mirrored into its place.
    """
    _, height, width, _ = images.shape
    padded = jnp.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)], mode="reflect")
    total = jnp.zeros_like(images)
    for row in range(3):
        for column in range(3):
            weight = (0.5, 1.0)[(row == 1) != (column == 1)] if (row, column) != (1, 1) else 0.0
            if weight:
                total += weight * padded[:, row : row + height, column : column + width]
    return total / 6
