"""Metrics: how close images are to their targets, one number per image.

Images and targets are floats in [0, 1], [batch, height, width, channels], of one shape. Results are float32. All
functions are pure and work under `jit`. `METRICS` holds what a test reports; `metric` adds to it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxae.errors import UserError
from jaxae.registry import Registry

Images = Float[Array, "batch height width channels"] | Float[np.ndarray, "batch height width channels"]
Values = Float[Array, " batch"] | Float[np.ndarray, " batch"]
Function = Callable[[Any, Any], Any]

_WINDOW = 11  # skimage's radius for σ = 1.5, truncate 3.5: 5 pixels to either side
_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2


@dataclass(frozen=True)
class Metric:
    """A number per test image.

    Attributes:
        name: the key in histories and summaries.
        label: what tables and plots call it.
        function: ``function(images, targets)``, [batch] values; None for the loss of a self-supervised objective, which
            is reported where no clean images are known.
        unit: such as "dB".
        digits: decimals in texts.
        higher_is_better: the direction; None for neither.
        cap: values above it count as this in a mean.
    """

    name: str
    label: str
    function: Function | None
    unit: str = ""
    digits: int = 4
    higher_is_better: bool | None = True
    cap: float | None = None

    def mean(self, values: Float[np.ndarray, " n"]) -> float:
        """Return the mean over images."""
        return float(np.mean(values if self.cap is None else np.minimum(values, self.cap), dtype=np.float64))

    def format(self, value: float, unit: bool = True) -> str:
        """Return `value` as text, such as "20.21 dB"."""
        return f"{value:.{self.digits}f}{f' {self.unit}' if unit and self.unit else ''}"

    @property
    def heading(self) -> str:
        """The label with the unit, such as "PSNR [dB]"."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label

    def is_better(self, value: float, than: float) -> bool:
        """Return whether `value` is better than another."""
        return value > than if self.higher_is_better else value < than


METRICS: Registry[Metric] = Registry("metric")


def metric(label: str, **options: Any) -> Callable[[Function], Function]:
    """Return a decorator that registers ``function(images, targets)`` as a metric under its own name.

    Args:
        label: what tables and plots call it.
        **options: further fields of `Metric`.
    """

    def decorate(function: Function) -> Function:
        METRICS[function.__name__] = Metric(function.__name__, label, function, **options)
        return function

    return decorate


def compute(images: Images, targets: Images) -> dict[str, Values]:
    """Return every metric of `METRICS` that compares images with targets."""
    return {name: each.function(images, targets) for name, each in METRICS.items() if each.function is not None}


def known(means: Mapping[str, Any], prefix: str = "") -> list[Metric]:
    """Return the metrics that `means` has a value of, under their name with `prefix`, in the order of registration."""
    return [each for name, each in METRICS.items() if prefix + name in means]


def primary(means: Mapping[str, Any]) -> Metric:
    """Return the metric that networks are compared by: `IMAGE_METRIC`, or the loss if no clean images are known."""
    return IMAGE_METRIC if IMAGE_METRIC.name in means else LOSS


def rank_score(means: Mapping[str, Any]) -> Any:
    """Return the primary metric as a number that is higher for the better; None if it is missing."""
    best = primary(means)
    if best.name not in means:
        return None
    return means[best.name] if best.higher_is_better else -means[best.name]


def error(means: Mapping[str, Any]) -> Metric:
    """Return the metric to plot beside the training loss: the mean squared error, or the loss itself."""
    return METRICS["mse"] if "mse" in means else LOSS


def format_means(means: Mapping[str, Any], prefix: str = "", separator: str = ", ") -> str:
    """Return the known metrics of `means` as text: "MSE 0.01040, PSNR 20.21 dB, SSIM 0.8123"."""
    return separator.join(f"{each.label} {each.format(means[prefix + each.name])}" for each in known(means, prefix))


def _namespace(*arrays: Any) -> Any:
    return np if all(isinstance(array, np.ndarray) for array in arrays) else jnp


@metric("MSE", digits=5, higher_is_better=False)
def mse(images: Images, targets: Images) -> Values:
    """Return the mean squared error over all values of an image. NumPy arrays in, NumPy arrays out."""
    xp = _namespace(images, targets)
    return xp.mean(xp.square(images.astype(np.float32) - targets.astype(np.float32)), axis=(1, 2, 3))


@metric("PSNR", unit="dB", digits=2, cap=100.0)
def psnr(images: Images, targets: Images) -> Values:
    """Return the peak signal-to-noise ratio in dB for a data range of 1, -10 · log10(MSE): infinite if exact."""
    with np.errstate(divide="ignore"):
        return -10 * _namespace(images, targets).log10(mse(images, targets))


@metric("SSIM")
def ssim(images: Images, targets: Images) -> Float[Array, " batch"]:
    """Return the mean structural similarity, in [-1, 1], averaged over channels; 1 for equal images.

    Wang et al., "Image quality assessment: from error visibility to structural similarity", 2004: an 11×11 Gaussian
    window with σ = 1.5, K1 = 0.01, K2 = 0.03, over the positions where the window lies inside the image. Equal to
    scikit-image's ``structural_similarity`` with ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    data_range=1``.

    Raises:
        UserError: if the images are smaller than the window.
    """
    batch, height, width, channels = images.shape
    if min(height, width) < _WINDOW:
        raise UserError(
            f"SSIM needs images of at least {_WINDOW}×{_WINDOW} pixels, not {height}×{width}: use MSE or PSNR"
        )
    # [height, width, everything else]: all lines along an axis are filtered by one product
    wide = (jnp.asarray(each).astype(jnp.float32).transpose(1, 2, 3, 0) for each in (images, targets))
    x, y = (each.reshape(height, width, -1) for each in wide)
    mean_x, mean_y = _blur(x), _blur(y)
    variances = _blur(x * x + y * y) - mean_x**2 - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    similarity /= (mean_x**2 + mean_y**2 + _C1) * (variances + _C2)
    return jnp.mean(similarity.reshape(-1, channels, batch), axis=(0, 1))


LOSS = METRICS["loss"] = Metric("loss", "self-supervised loss", None, digits=5, higher_is_better=False)
IMAGE_METRIC = METRICS["psnr"]  # shown below single images


def _blur(x: Float[Array, "height width n"]) -> Float[Array, "rows columns n"]:
    """Return the Gaussian means over each window inside the image.

    The window is separable, so the filter is a product with a banded matrix along each axis, many times faster than a
    convolution. By default TPUs and GPUs would round the factors, and with them the variances.
    """
    for size in x.shape[:2]:
        product = jnp.dot(_band(size), x.reshape(size, -1), precision=jax.lax.Precision.HIGHEST)
        x = product.reshape(-1, *x.shape[1:]).swapaxes(0, 1)
    return x


def _band(size: int) -> Float[np.ndarray, "positions size"]:
    """Return the matrix from a line of `size` values to its Gaussian means, without those that reach over its ends."""
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    window = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    window /= window.sum()
    band = np.zeros((size - _WINDOW + 1, size), np.float32)
    for position, row in enumerate(band):
        row[position : position + _WINDOW] = window
    return band
