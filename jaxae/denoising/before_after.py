"""Pictures before and after: their metrics, whatever their size, and a figure of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32
from skimage.metrics import structural_similarity

from jaxae import metrics
from jaxae.runs import figures

CUT = 256  # pixels of a picture's middle that the figure shows
SSIM_WINDOW = 11

Values = Float32[np.ndarray, "height width channels"]


Column = tuple[str, list[np.ndarray], dict[str, Any]]  # a picture's name, the middles of its three states, its metrics


def measure_picture(image: Values, clean: Values) -> dict[str, float]:
    """Return the metrics of `image`, clipped to [0, 1]; without SSIM if it is smaller than the window of SSIM."""
    images, targets, values = np.clip(image, 0, 1)[None], clean[None], {}
    for name, metric in metrics.METRICS.items():
        if name == "ssim":  # `metrics.ssim` would be compiled for every size and is slow on large pictures
            if min(clean.shape[:2]) >= SSIM_WINDOW:
                values[name] = metric.mean(_scikit_image_ssim(images[0], targets[0]))
        elif metric.function is not None:
            values[name] = metric.mean(np.asarray(metric.function(images, targets)))
    return values


def _scikit_image_ssim(image: Values, clean: Values) -> np.ndarray:
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    return np.asarray([structural_similarity(image, clean, channel_axis=-1, **options)])


def measure_restoration(clean: Values, noisy: Values, restored: Values) -> dict[str, float]:
    """Return the metrics of the restored picture, and those of the noisy one as ``noisy_mse`` and so on."""
    before = measure_picture(noisy, clean)
    return {f"noisy_{name}": value for name, value in before.items()} | measure_picture(restored, clean)


def mean_measures(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the means of `measure_restoration`, each over those of `rows` that have it."""
    names = [prefix + name for name in metrics.METRICS for prefix in ("noisy_", "")]
    values = {name: [row[name] for row in rows if name in row] for name in names}
    return {name: float(np.mean(each)) for name, each in values.items() if each}


def format_change(row: dict[str, Any], metric: metrics.Metric) -> str:
    """Return the metric before and after, such as "20.10 → 29.90"; empty if `row` lacks it."""
    keys = (f"noisy_{metric.name}", metric.name)
    return " → ".join(metric.format(row[key], unit=False) for key in keys if key in row)


def cut_middles(*states: Values) -> list[Values]:
    """Return what the figure shows of a picture, which is given original, noisy and restored."""
    top, left = (max(0, (length - CUT) // 2) for length in states[0].shape[:2])
    return [np.clip(each[top : top + CUT, left : left + CUT], 0, 1) for each in states]


def draw_columns(columns: list[Column], labels: Sequence[str]) -> Any:
    """Draw a column for each picture, such as original, noisy and restored, pixel by pixel.

    Args:
        columns: the pictures.
        labels: of their states.
    """
    metric, size = metrics.IMAGE_METRIC, (0.4 + 2.6 * len(columns), 2.8 * len(labels))
    figure = figures.new_figure(size, layout="constrained")
    axes = figure.subplots(len(labels), len(columns), squeeze=False)
    for axis, label in zip(axes[:, 0], labels, strict=True):
        axis.set_ylabel(label.replace(" + ", "\n+ "), fontsize=10, color=figures.INK)
    for axis_column, (name, middles, measures) in zip(axes.T, columns, strict=True):
        for axis, middle in zip(axis_column, middles, strict=True):
            axis.imshow(middle.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        for axis, key in zip(axis_column[-2:], (f"noisy_{metric.name}", metric.name), strict=True):
            text = f"{measures[key]:.1f} {metric.unit}" if key in measures else ""
            axis.set_xlabel(text, fontsize=9, color=figures.MUTED, labelpad=3)
        name = name if len(name) <= 28 else f"{name[:27]}…"
        axis_column[0].set_title(name.replace("$", r"\$"), fontsize=9, color=figures.INK)
    return figure
