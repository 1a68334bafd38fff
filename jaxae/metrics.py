"""How close images are to their targets: MSE, PSNR and SSIM, one number per image.

Images and targets are floats in [0, 1], ``[batch, height, width, channels]``, of one shape; everything is computed and
comes back in float32. MSE and PSNR take NumPy's arrays too, of pictures of any size, and then give NumPy's.
All are pure functions for use inside `jit`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxae.errors import UserError

Images = Float[Array, "batch height width channels"] | Float[np.ndarray, "batch height width channels"]
Values = Float[Array, " batch"] | Float[np.ndarray, " batch"]

EXACT_PSNR = 100.0  # dB: what an image that is exact, of infinite PSNR, counts as in a mean

_WINDOW = 11  # skimage's radius for σ = 1.5, truncate 3.5: 5 pixels to either side
_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2


def mse(images: Images, targets: Images) -> Values:
    """Mean squared error over all the values of an image."""
    xp = _namespace(images, targets)
    return xp.mean(xp.square(images.astype(np.float32) - targets.astype(np.float32)), axis=(1, 2, 3))


def psnr(images: Images, targets: Images) -> Values:
    """Peak signal-to-noise ratio in dB, -10 · log10(MSE), for a data range of 1; infinite for equal images."""
    with np.errstate(divide="ignore"):
        return -10 * _namespace(images, targets).log10(mse(images, targets))


def mean_psnr(values: Float[np.ndarray, " n"]) -> float:
    """The mean over images of their PSNR in dB."""
    return float(np.mean(np.minimum(values, EXACT_PSNR), dtype=np.float64))


def in_words(means: dict[str, Any]) -> str:
    """The means over test images as a line gives them; where no clean ones are known, the self-supervised loss."""
    if "loss" in means:
        return f"self-supervised loss {means['loss']:.5f}"
    return f"mse {means['mse']:.5f}   psnr {means['psnr']:.2f} dB   ssim {means['ssim']:.4f}"


def _namespace(*arrays: Any) -> Any:
    return np if all(isinstance(array, np.ndarray) for array in arrays) else jnp


def ssim(images: Images, targets: Images) -> Float[Array, " batch"]:
    """Mean structural similarity, in [-1, 1], the channels averaged; 1 for equal images.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004: an 11×11 Gaussian
    window with σ = 1.5, K1 = 0.01, K2 = 0.03, over the positions where the window lies inside the image. That is
    scikit-image's ``structural_similarity`` with ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    data_range=1``. Raises UserError, when traced, for images smaller than the window.
    """
    batch, height, width, channels = images.shape
    if min(height, width) < _WINDOW:
        raise UserError(
            f"SSIM needs images of at least {_WINDOW}×{_WINDOW} pixels, not {height}×{width}: use MSE or PSNR"
        )
    # [height, width, everything else]: all lines along an axis are filtered as one product
    x, y = (z.astype(jnp.float32).transpose(1, 2, 3, 0).reshape(height, width, -1) for z in (images, targets))
    mean_x, mean_y = _blur(x), _blur(y)
    variances = _blur(x * x + y * y) - mean_x**2 - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    similarity /= (mean_x**2 + mean_y**2 + _C1) * (variances + _C2)
    return jnp.mean(similarity.reshape(-1, channels, batch), axis=(0, 1))


def _blur(x: Float[Array, "height width n"]) -> Float[Array, "rows columns n"]:
    """The Gaussian means over each window inside the image.

    The window is separable, so filtering is a product with a banded matrix from either side: many times faster than a
    convolution on every backend. TPUs and GPUs would round the factors, and with them the variances.
    """
    for size in x.shape[:2]:
        product = jnp.dot(_band(size), x.reshape(size, -1), precision=jax.lax.Precision.HIGHEST)
        x = product.reshape(-1, *x.shape[1:]).swapaxes(0, 1)
    return x


def _band(size: int) -> Float[np.ndarray, "positions size"]:
    """The matrix that takes a line of `size` values to its Gaussian means, where the window lies inside the line."""
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    window = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    window /= window.sum()
    band = np.zeros((size - _WINDOW + 1, size), np.float32)
    for position, row in enumerate(band):
        row[position : position + _WINDOW] = window
    return band
