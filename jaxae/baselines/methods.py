"""Classical denoising methods, and the choice of their parameters.

All are pure functions of one image, float32 [height, width] or [height, width, 3], with values that may leave [0, 1].
"""

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32
from scipy.ndimage import median_filter
from skimage import filters, morphology, restoration

from jaxae.metrics import IMAGE_METRIC
from jaxae.registry import Registry

Image = Float[np.ndarray, "height width *channels"]
Pixels = Float32[np.ndarray, "n height width channels"]
Parameters = dict[str, Any]
Function = Callable[..., Any]


class Method(NamedTuple):
    """A classical method.

    Attributes:
        function: ``function(image, sigma, **parameters)`` with the standard deviation of the noise. Parameters that are
            strengths are multiples of it.
        grid: the values to choose each parameter from.
    """

    function: Function
    grid: dict[str, tuple[Any, ...]]


METHODS: Registry[Method] = Registry("classical method")


def method(name: str, **grid: tuple[Any, ...]) -> Callable[[Function], Function]:
    """Return a decorator that registers ``function(image, sigma, **parameters)`` under `name`.

    Args:
        name: what tables call it.
        **grid: the values to choose each parameter from.
    """

    def decorate(function: Function) -> Function:
        METHODS[name] = Method(function, grid)
        return function

    return decorate


def _channel_axis(image: Image) -> int | None:
    """The axis of the channels, as scikit-image takes it."""
    return None if image.ndim == 2 else -1


@method("median", footprint=("disk 1", "square 1", "disk 2", "square 2", "disk 3", "square 3"))
def median(image: Image, sigma: float, footprint: str) -> Image:
    """Return the median over a footprint, each channel by itself."""
    radius = int(footprint[-1])
    shape = np.asarray(
        morphology.disk(radius) if footprint.startswith("disk") else np.ones((2 * radius + 1,) * 2, np.uint8)
    )
    return median_filter(image, footprint=shape if image.ndim == 2 else shape[..., None], mode="mirror")


@method("Gaussian", blur=(0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.7, 2.0))
def gaussian_blur(image: Image, sigma: float, blur: float) -> Image:
    """Return the image after a Gaussian filter with a standard deviation of `blur` pixels."""
    return filters.gaussian(image, blur, channel_axis=_channel_axis(image))


@method("bilateral", colour=(0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0), spatial=(0.6, 0.8, 1.0, 1.3, 1.7, 2.5, 4.0))
def bilateral(image: Image, sigma: float, colour: float, spatial: float) -> Image:
    """Return the image after the bilateral filter (Tomasi and Manduchi, 1998)."""
    low = image.min()  # scikit-image takes no negative values, and the filter commutes with adding a constant
    filtered = restoration.denoise_bilateral(
        image - low, sigma_color=colour * sigma, sigma_spatial=spatial, mode="edge", channel_axis=_channel_axis(image)
    )
    return filtered + low


@method("total variation", weight=(0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0))
def total_variation(image: Image, sigma: float, weight: float) -> Image:
    """Return the image of least total variation near `image` (Chambolle, 2004)."""
    return restoration.denoise_tv_chambolle(image, weight=weight * sigma, channel_axis=_channel_axis(image))


@method(
    "wavelet",
    strength=(0.15, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.2, 1.5),
    wavelet=("db1", "db2", "sym4"),
    method=("BayesShrink", "VisuShrink"),
)
def wavelet_shrinkage(image: Image, sigma: float, strength: float, wavelet: str, method: str) -> Image:
    """Return the image with shrunk wavelet coefficients.

    BayesShrink: Chang, Yu and Vetterli, 2000. VisuShrink: Donoho and Johnstone, 1994.
    """
    colour = image.ndim == 3
    threshold, axis = [strength * sigma] * 3 if colour else strength * sigma, _channel_axis(image)
    return restoration.denoise_wavelet(
        image, threshold, wavelet, method=method, convert2ycbcr=colour, channel_axis=axis, rescale_sigma=True
    )


@method("non-local means", h=(0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.3, 1.7), patch=(3, 5, 7), known=(0.0, 1.0))
def non_local_means(image: Image, sigma: float, h: float, patch: int, known: float) -> Image:
    """Return the image after non-local means (Buades, Coll and Morel, 2005), within 6 pixels, in the fast mode."""
    options = {"patch_size": patch, "patch_distance": 6, "fast_mode": True, "channel_axis": _channel_axis(image)}
    return restoration.denoise_nl_means(image, h=h * sigma, sigma=known * sigma, **options)


def apply_method(method: Method, images: Pixels, sigma: float, parameters: Parameters) -> Pixels:
    """Return the output for each of `images`, clipped to [0, 1]."""
    pictures = images[..., 0] if images.shape[-1] == 1 else images
    restored = np.stack([method.function(picture, sigma, **parameters) for picture in pictures])
    return np.clip(restored, 0, 1).astype(np.float32).reshape(images.shape)


def tune_method(method: Method, clean: Pixels, noisy: Pixels, sigma: float) -> Parameters:
    """Return the parameters of the grid with the best mean of the image metric."""
    choices = [dict(zip(method.grid, values, strict=True)) for values in itertools.product(*method.grid.values())]
    measure = IMAGE_METRIC.function
    assert measure is not None

    def mean(choice: Parameters) -> float:
        return IMAGE_METRIC.mean(np.asarray(measure(apply_method(method, noisy, sigma, choice), clean)))

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # scikit-image's loops release the interpreter
        means = list(pool.map(mean, choices))
    return choices[int(np.argmax(means) if IMAGE_METRIC.higher_is_better else np.argmin(means))]
