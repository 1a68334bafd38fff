"""Classical denoising methods, and the choice of their strengths.

All are pure functions of one image, float32 [height, width] or [height, width, 3], whose values may leave [0, 1].
"""

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from jaxae import metrics

Image = Float[np.ndarray, "height width *channels"]
Images = Float32[np.ndarray, "n height width channels"]
Parameters = dict[str, Any]


class Method(NamedTuple):
    """A classical method: ``function(image, sigma, **parameters)``, and the values to choose its parameters from.

    `sigma` is the noise's standard deviation, of which parameters that are strengths are multiples.
    """

    function: Callable[..., Image]
    grid: dict[str, tuple]


def _channels(image: Image) -> int | None:
    """The axis of the channels, as scikit-image wants it."""
    return None if image.ndim == 2 else -1


def median(image: Image, sigma: float, footprint: str) -> Image:
    """The median over a footprint, each channel for itself."""
    from scipy.ndimage import median_filter
    from skimage.morphology import disk

    radius = int(footprint[-1])
    shape = disk(radius) if footprint.startswith("disk") else np.ones((2 * radius + 1,) * 2, np.uint8)
    return median_filter(image, footprint=shape if image.ndim == 2 else shape[..., None], mode="mirror")


def gaussian(image: Image, sigma: float, blur: float) -> Image:
    """A Gaussian blur of so many pixels."""
    from skimage.filters import gaussian

    return gaussian(image, blur, channel_axis=_channels(image))


def bilateral(image: Image, sigma: float, colour: float, spatial: float) -> Image:
    """The bilateral filter (Tomasi and Manduchi, 1998)."""
    from skimage.restoration import denoise_bilateral

    low = image.min()  # scikit-image takes no negative values, and the filter commutes with adding a constant
    filtered = denoise_bilateral(
        image - low, sigma_color=colour * sigma, sigma_spatial=spatial, mode="edge", channel_axis=_channels(image)
    )
    return filtered + low


def total_variation(image: Image, sigma: float, weight: float) -> Image:
    """Total variation (Chambolle, 2004)."""
    from skimage.restoration import denoise_tv_chambolle

    return denoise_tv_chambolle(image, weight=weight * sigma, channel_axis=_channels(image))


def wavelet(image: Image, sigma: float, strength: float, wavelet: str, method: str) -> Image:
    """Wavelet shrinkage (BayesShrink: Chang, Yu and Vetterli, 2000; VisuShrink: Donoho and Johnstone, 1994)."""
    from skimage.restoration import denoise_wavelet

    colour = image.ndim == 3
    strengths = [strength * sigma] * 3 if colour else strength * sigma
    return denoise_wavelet(
        image,
        strengths,
        wavelet,
        method=method,
        convert2ycbcr=colour,
        channel_axis=_channels(image),
        rescale_sigma=True,
    )


def non_local_means(image: Image, sigma: float, h: float, patch: int, known: float) -> Image:
    """Non-local means (Buades, Coll and Morel, 2005), within 6 pixels, in scikit-image's fast mode."""
    from skimage.restoration import denoise_nl_means

    return denoise_nl_means(
        image,
        patch_size=patch,
        patch_distance=6,
        h=h * sigma,
        sigma=known * sigma,
        fast_mode=True,
        channel_axis=_channels(image),
    )


METHODS: dict[str, Method] = {
    "median": Method(median, {"footprint": ("disk 1", "square 1", "disk 2", "square 2", "disk 3", "square 3")}),
    "Gaussian": Method(gaussian, {"blur": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.7, 2.0)}),
    "bilateral": Method(
        bilateral,
        {"colour": (0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0), "spatial": (0.6, 0.8, 1.0, 1.3, 1.7, 2.5, 4.0)},
    ),
    "total variation": Method(total_variation, {"weight": (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0)}),
    "wavelet": Method(
        wavelet,
        {
            "strength": (0.15, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.2, 1.5),
            "wavelet": ("db1", "db2", "sym4"),
            "method": ("BayesShrink", "VisuShrink"),
        },
    ),
    "non-local means": Method(
        non_local_means,
        {"h": (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.3, 1.7), "patch": (3, 5, 7), "known": (0.0, 1.0)},
    ),
}


def apply(method: Method, images: Images, sigma: float, parameters: Parameters) -> Images:
    """What the method makes of each of `images`, in [0, 1]."""
    pictures = images[..., 0] if images.shape[-1] == 1 else images
    restored = np.stack([method.function(picture, sigma, **parameters) for picture in pictures])
    return np.clip(restored, 0, 1).astype(np.float32).reshape(images.shape)


def tune(method: Method, clean: Images, noisy: Images, sigma: float) -> Parameters:
    """The parameters of the grid that give the highest mean PSNR."""
    choices = [dict(zip(method.grid, values, strict=True)) for values in itertools.product(*method.grid.values())]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # scikit-image's loops release the interpreter

        def quality(choice: Parameters) -> float:
            return metrics.mean_psnr(metrics.psnr(apply(method, noisy, sigma, choice), clean))

        found = list(pool.map(quality, choices))
    return choices[int(np.argmax(found))]


def at_edge(method: Method, parameters: Parameters) -> list[str]:
    """The numeric parameters that lie at an end of their grid, where a better one may lie beyond."""
    ends = {name: (values[0], values[-1]) for name, values in method.grid.items() if len(values) > 3}
    return [name for name, value in parameters.items() if value in ends.get(name, ()) and isinstance(value, float)]
