"""What a network is trained to do: an objective makes a batch of noisy images and computes the losses of the outputs.

Every image has one noisy copy for the self-supervised objectives, which need no clean images. The mean of their losses
is, in expectation, the mean squared error to the clean images: for Noise2Self up to a constant, the variance of the
noise, if the noise of every pixel is independent with mean 0; for SURE exactly, if the noise is Gaussian of known
sigma.
"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, Key, Shaped

from jaxae.data.images import Images
from jaxae.errors import UserError
from jaxae.noise import Noise, describe
from jaxae.registry import Registry

Pixels = Float[Array, "batch height width channels"]
Batch = tuple[Array, ...]

GRID = 4  # pixels between masked ones along each axis
LEAST_ERROR = 1e-7  # added to a mean squared error, whose logarithm is taken: 70 dB
PROBE = 1e-2  # step of the finite difference in SURE's divergence


class Draws(NamedTuple):
    """What the random draws of a step depend on.

    Attributes:
        noise: the key of the step's noise.
        second: the key of a second, independent draw.
        probe: a third one.
        image: the run's key, the same in each step: folded with an image's index, it draws what the image keeps.
        step: the number of the step.
        indices: the numbers of the images in the training set.
    """

    noise: Key[Array, ""]
    second: Key[Array, ""]
    probe: Key[Array, ""]
    image: Key[Array, ""]
    step: Int32[Array, ""]
    indices: Shaped[Array, " batch"]


@dataclasses.dataclass(frozen=True)
class Objective:
    """Compare the outputs for noisy images with clean images: mean squared error. Subclasses change what they compare.

    Attributes:
        sigma: the standard deviation of the noise that the images have already, for objectives that need it.
        uses_clean: whether clean images are used, so that pairs and every kind of noise are possible.
        self_supervised: whether one noisy copy of an image is enough, so that images can be trained on that are noisy
            themselves, without clean ones.
        needs_sigma: whether the noise must be Gaussian of one known strength.
        needs_float32: whether activations must be float32.
        hides_pixels: whether the input lacks the pixels that are compared.
    """

    sigma: float | None = None

    uses_clean: ClassVar[bool] = True
    self_supervised: ClassVar[bool] = False
    needs_sigma: ClassVar[bool] = False
    needs_float32: ClassVar[bool] = False
    hides_pixels: ClassVar[bool] = False

    def prepare(self, images: Images, noise: Noise, draws: Draws) -> Batch:
        """Return what `losses` needs: arrays with the batch as their first axis, first of all the network's input.

        Args:
            images: float32 in [0, 1]; the noise goes onto ``images.input``.
            noise: the noise to add.
            draws: keys and numbers of this step.
        """
        return noise(draws.noise, images.input), images.clean

    def known_sigma(self, noise: Noise) -> Float[Array, ""]:
        """Return the standard deviation of the images' noise, for an objective that needs it: added, or their own."""
        return jnp.float32(noise.ranges[0, 0] if noise.kinds else self.sigma)

    def losses(self, apply: Callable[[Pixels], Pixels], batch: Batch) -> Float[Array, "batch ..."]:
        """Return values whose mean is the loss, with the batch as their first axis.

        Args:
            apply: the network.
            batch: see `prepare`.
        """
        noisy, target = batch
        return jnp.square(apply(noisy) - target)


OBJECTIVES: Registry[type[Objective]] = Registry("training target")
OBJECTIVES["clean"] = Objective


@OBJECTIVES.register("psnr")
class MeanPsnr(Objective):
    """Compare with clean images by the peak signal-to-noise ratio: its mean over images, with the sign changed.

    Where each image draws its own strength of noise, the mean squared error is mostly that of the noisiest images. Here
    an image counts the same however strong its noise is.
    """

    def losses(self, apply: Callable[[Pixels], Pixels], batch: Batch) -> Float[Array, " batch"]:
        """Return the mean squared error of each image in decibels."""
        noisy, target = batch
        return 10 * jnp.log10(jnp.mean(jnp.square(apply(noisy) - target), (1, 2, 3)) + LEAST_ERROR)


@OBJECTIVES.register("noisy")
class Noise2Noise(Objective):
    """Compare with a second noisy copy, which on average is the clean image (Lehtinen et al., 2018)."""

    uses_clean = False

    def prepare(self, images: Images, noise: Noise, draws: Draws) -> Batch:
        """Return two noisy copies."""
        return noise(draws.noise, images.input), noise(draws.second, images.input)


@OBJECTIVES.register("self")
class Noise2Self(Objective):
    """Predict masked pixels of a noisy image from the others (Batson and Royer, "Noise2Self", ICML 2019, eq. 3)."""

    uses_clean = False
    self_supervised = True
    hides_pixels = True

    def prepare(self, images: Images, noise: Noise, draws: Draws) -> Batch:
        """Return the noisy images with masked pixels interpolated, the noisy images, and the masks.

        An image's mask is one of the grid's GRID² shifts, and the next one in the next step.
        """
        noisy = add_own_noise(images, noise, draws)
        shifts = draws.step + jnp.arange(len(noisy), dtype=jnp.int32)
        mask = grid(noisy.shape[1], noisy.shape[2], shifts)
        return noisy + mask * (neighbours(noisy) - noisy), noisy, mask

    def losses(self, apply: Callable[[Pixels], Pixels], batch: Batch) -> Float[Array, " batch"]:
        """Return the mean squared error of each image at its masked pixels."""
        masked, noisy, mask = batch
        count = jnp.sum(mask, (1, 2, 3)) * noisy.shape[3]
        return jnp.sum(mask * jnp.square(apply(masked) - noisy), (1, 2, 3)) / count


@OBJECTIVES.register("sure")
class Sure(Objective):
    """Monte-Carlo SURE, an estimate of the mean squared error that can fall below 0.

    |f(y) - y|² / n - σ² + 2 σ² div f(y) / n, with the divergence b · (f(y + εb) - f(y)) / ε along one random direction
    b of ±1 (Ramani, Blu and Unser, IEEE Transactions on Image Processing 17, 2008, eqs. 9 and 14).
    """

    uses_clean = False
    self_supervised = True
    needs_sigma = True
    needs_float32 = True  # the finite difference is a small difference of outputs

    def prepare(self, images: Images, noise: Noise, draws: Draws) -> Batch:
        """Return the noisy images, a direction for each, and sigma."""
        noisy = add_own_noise(images, noise, draws)
        direction = jax.random.rademacher(draws.probe, noisy.shape, noisy.dtype)
        return noisy, direction, jnp.broadcast_to(self.known_sigma(noise), (len(noisy), 1, 1, 1))

    def losses(self, apply: Callable[[Pixels], Pixels], batch: Batch) -> Float[Array, " batch"]:
        """Return SURE of each image."""
        noisy, direction, sigma = batch
        restored = apply(noisy)
        divergence = jnp.mean(direction * (apply(noisy + PROBE * direction) - restored), (1, 2, 3)) / PROBE
        variance = jnp.square(sigma[:, 0, 0, 0])
        return jnp.mean(jnp.square(restored - noisy), (1, 2, 3)) - variance + 2 * variance * divergence


def add_own_noise(images: Images, noise: Noise, draws: Draws) -> Pixels:
    """Return the one noisy copy of each image, the same in every step."""

    def add(index: Array, image: Array) -> Array:
        return noise(jax.random.fold_in(draws.image, index), image)

    return jax.vmap(add)(draws.indices, images.input)


def grid(height: int, width: int, shifts: Int32[Array, " batch"]) -> Float[Array, "batch height width 1"]:
    """Return masks that are 1 on a grid and 0 elsewhere: over GRID² successive shifts every pixel is 1 once."""
    rows, columns = (shifts // GRID % GRID)[:, None], (shifts % GRID)[:, None]
    at_rows = jnp.arange(height)[None] % GRID == rows
    at_columns = jnp.arange(width)[None] % GRID == columns
    return (at_rows[:, :, None, None] & at_columns[:, None, :, None]).astype(jnp.float32)


def neighbours(images: Pixels) -> Pixels:
    """Return the mean of each pixel's eight neighbours, those beside it counting double.

    Beyond an edge pixels are reflected, so that the pixel itself never counts.
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


def resolve_objective(name: str, sigma: float | None, noise: Noise, *, has_pairs: bool, precision: str) -> Objective:
    """Return the objective called `name`.

    Args:
        name: a name in `OBJECTIVES`.
        sigma: the standard deviation of the images' own noise, if it is known.
        noise: the noise to add.
        has_pairs: whether the data set has pairs of noisy and clean images.
        precision: the dtype of activations.

    Raises:
        UserError: for an unknown name, and if the objective cannot be reached with such data and noise.
    """
    objective, named = OBJECTIVES[name](sigma), f"`target` {name}"
    if not objective.uses_clean and has_pairs:
        raise UserError(f"{named}: pairs have clean images to compare with: omit it, or train on the noisy ones alone")
    if not objective.uses_clean and not noise.keeps_mean:
        raise UserError(
            f"{named} needs noise that keeps the mean, not {describe(noise)}: take gaussian, uniform, speckle or "
            "poisson without `clip`"
        )
    if sigma is not None and (not objective.needs_sigma or noise.kinds):
        needing = " and ".join(known for known, each in OBJECTIVES.items() if each.needs_sigma)
        raise UserError(
            f"`sigma` is for `target` {needing} on images that are noisy themselves, without noise to add: omit it"
        )
    if objective.needs_float32 and precision != "float32":
        raise UserError(f"{named} takes small differences of outputs: it needs `precision` float32")
    if objective.needs_sigma and noise.kinds and (noise.kinds != ("gaussian",) or np.ptp(noise.ranges)):
        raise UserError(
            f"{named} needs gaussian noise of one known strength, not {describe(noise)}: take `target` self instead"
        )
    if objective.needs_sigma and not noise.kinds and sigma is None:
        raise UserError(
            f"{named} on images that are noisy themselves needs `sigma`, the standard deviation of their noise"
        )
    return objective


def takes_noisy_images(target: str, noise_kind: str) -> bool:
    """Return whether options take the images for noisy ones, so that resizing would change their noise."""
    return OBJECTIVES[target].self_supervised and noise_kind == "none"


def is_blind(objective: Objective, noise: Noise) -> bool:
    """Return whether no clean images are known: the images are noisy themselves, and the objective needs no others."""
    return objective.self_supervised and not noise.kinds
