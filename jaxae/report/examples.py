"""Test images and what the network makes of them, as thumbnails of a page."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer, UInt8

from jaxae.metrics import Metric
from jaxae.noise import KINDS, Noise, describe
from jaxae.report.tested_run import Run
from jaxae.runs import samples

MULTIPLES = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)  # of the noise in training
VIEW = 64  # pixels; larger images are cropped to their centre
SAMPLE = samples.MAX_COUNT  # images behind the mean at each noise level

Values = Float[np.ndarray, " n"]


class Thumbnail(NamedTuple):
    """An image of a page; `caption` may be empty."""

    pixels: UInt8[np.ndarray, "height width channels"]
    alt: str
    caption: str = ""


class Examples(NamedTuple):
    """Some test images under one noise.

    Attributes:
        noise: The noise added to the clean images as text; empty if none was.
        metric: The metric of `noisy_values` and `values`.
        has_noisy: Whether the network's input differs from the test images; not if these are noisy themselves.
        images: For each image the test image, the network's input if it differs, and the output.
        noisy_values: The metric of each noisy image; None where it cannot be computed.
        values: The metric of each output; None without clean images.
    """

    noise: str
    metric: Metric
    has_noisy: bool
    images: list[list[Thumbnail]]
    noisy_values: Values | None
    values: Values | None


def restore_examples(run: Run, indices: Integer[np.ndarray, " n"], noise: Noise, number: int | None = None) -> Examples:
    """Run a network on test images.

    Args:
        run: The network's run.
        indices: Of the test images, at most `SAMPLE`.
        noise: The noise to add.
        number: That of the run, if there are several on the page.
    """
    found = samples.restore_samples(run.model, run.params, run.test.images, indices, noise)
    has_noisy, compare = bool(noise.kinds) or run.test.has_noisy, run.metric.function
    noisy_values = np.asarray(compare(found.noisy, found.clean)) if compare and has_noisy else None
    values = np.asarray(compare(found.restored, found.clean)) if compare else None
    label, by, prefix = describe(noise) if noise.kinds else "", "", ""
    if number is not None:
        by, prefix = f" by run {number}", f"{number}: "

    def thumbnail(pixels: np.ndarray, alt: str, value: float | None, prefix: str = "") -> Thumbnail:
        text = "" if value is None else prefix + (run.metric.format(value) if np.isfinite(value) else "exact")
        return Thumbnail(pixels, alt, text)

    clean, noisy, outputs = map(_view, (found.clean, found.noisy, found.restored))
    images = []
    for n, name in enumerate(f"test image {index}" for index in indices):
        before, after = (None if each is None else float(each[n]) for each in (noisy_values, values))
        middle = [thumbnail(noisy[n], f"{name} with {label or 'its own noise'}", before)] if has_noisy else []
        restored = thumbnail(outputs[n], f"{name} restored{by}", after, prefix)
        images.append([Thumbnail(clean[n], name), *middle, restored])
    return Examples(label, run.metric, has_noisy, images, noisy_values, values)


def _view(pixels: Float[np.ndarray, "n h w c"]) -> UInt8[np.ndarray, "n view_h view_w c"]:
    top, left = (max(0, size - VIEW) // 2 for size in pixels.shape[1:3])
    return np.rint(np.clip(pixels[:, top : top + VIEW, left : left + VIEW], 0, 1) * 255).astype(np.uint8)


def count_shown(run: Run) -> int:
    """Return how many test images a page has room for."""
    count, height, width, _ = run.test.images.shape
    return min(count, 12 if height * width <= 40 * 40 else 6)


def scale_noise(noise: Noise, multiple: float) -> Noise:
    """Return `noise` with fixed strengths: the midpoint of each range, scaled by `multiple`.

    A probability p becomes 1 - (1 - p)^multiple, that of being hit in so many passes; a photon count is divided.
    """
    ranges = []
    for kind, (low, high) in zip(noise.kinds, noise.ranges.tolist(), strict=True):
        middle = (low + high) / 2
        scaled = {"factor": middle * multiple, "probability": 1 - (1 - middle) ** multiple, "peak": middle / multiple}
        ranges.append((float(f"{scaled[KINDS[kind].strength]:.3g}"),) * 2)
    return Noise(noise.kinds, tuple(ranges), noise.clip)
