"""Drawings of a run, as PNG in its `figures/`: rows of images, and the curves of training.

They are drawn without pyplot, whose backend belongs to the program that calls this one.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jax import Array
from jaxtyping import Float, PyTree

from jaxae import metrics, ops
from jaxae.files import write_bytes
from jaxae.networks import Network
from jaxae.noise import describe
from jaxae.runs import samples
from jaxae.runs.evaluation_set import EvaluationSet

INK, MUTED, GRID = "#1a1a2e", "#6b7280", "#e5e7eb"
TRAIN, VALIDATION, TEST = "#2563eb", "#7c3aed", "#d9480f"

Pixels = Float[Array, "n h w c"] | Float[np.ndarray, "n h w c"]


def write_figures(
    run_dir: Path, model: Network, params: PyTree, test: EvaluationSet, history: list[dict[str, Any]], columns: int = 10
) -> None:
    """Write `images.png`, the first test images before and after, and `curves.png` if there is a `history`."""
    folder = run_dir / "figures"
    folder.mkdir(exist_ok=True)
    save_figure(sample_rows(model, params, test, columns), folder / "images.png")
    if history:
        save_figure(curves(history), folder / "curves.png")


def sample_rows(model: Network, params: PyTree, test: EvaluationSet, columns: int = 10) -> Any:
    """Draw the first test images before and after."""
    first = np.arange(min(columns, test.images.count))
    shown = samples.restore_samples(model, params, test.images, first, test.noise)
    if test.objective is not None:
        return image_rows({"input": shown.noisy, "restored": shown.restored})
    label = describe(test.noise) if test.noise.kinds else "noisy"
    noisy_row = {label: shown.noisy} if test.has_noisy else {}
    return image_rows({"original": shown.clean} | noisy_row | {"restored": shown.restored}, shown.clean)


def image_rows(rows: Mapping[str, Pixels], clean: Pixels | None = None) -> Any:
    """Draw a labelled row of images for each of `rows`, with the metric of each image against `clean` below it.

    Args:
        rows: by their label, floats [n, height, width, channels] in [0, 1].
        clean: of the same shape.
    """
    count, height, width, channels = next(iter(rows.values())).shape
    gap = max(1, width // 12)
    centres = np.arange(count) * (width + gap) + (width - 1) / 2
    labels = [label.replace(" + ", "\n+ ") for label in rows]
    left = 0.15 + 0.16 * max(label.count("\n") + 1 for label in labels)  # inches, as are the others
    row, below, edge = 1.05 * height / (width + gap), 0.25, 0.06
    size = (count * 1.05 + left + edge, len(rows) * (row + below) + edge)
    # computed here: for its own layout Matplotlib draws everything twice, which takes most of a figure's time
    place = {"left": left / size[0], "right": 1 - edge / size[0], "bottom": below / size[1], "top": 1 - edge / size[1]}
    figure = new_figure(size)
    axes = figure.subplots(len(rows), squeeze=False, gridspec_kw=place | {"hspace": below / row})
    shown = metrics.IMAGE_METRIC
    measure = ops.jit(shown.function)
    for label, images, axis in zip(labels, rows.values(), axes[:, 0], strict=True):
        strip = np.ones((height, count, width + gap, channels), np.float32)  # one array for a row draws fastest
        strip[:, :, :width] = np.asarray(images).swapaxes(0, 1)
        strip = strip.reshape(height, -1, channels)[:, :-gap]
        axis.imshow(strip.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        values = [] if clean is None else np.asarray(measure(images, clean))
        texts = [f"{value:.1f} {shown.unit}" if np.isfinite(value) else "" for value in values]
        axis.set_xticks(centres if texts else [], texts, fontsize=8, color=MUTED)
        axis.tick_params(length=0, pad=2)
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
        axis.set_ylabel(label, fontsize=9, color=INK)
    return figure


def curves(history: list[dict[str, Any]]) -> Any:
    """Draw the loss and the primary metric after each epoch, from the records of a run's `metrics.jsonl`."""
    from matplotlib.ticker import MaxNLocator

    primary, error = metrics.primary(history[0]), metrics.error(history[0])
    columns = 1 if primary is error else 2
    width = 4.5 * columns
    place = {"left": 0.65 / width, "right": 1 - 0.15 / width, "bottom": 0.14, "top": 0.91, "wspace": 0.2}
    figure = new_figure((width, 3.4))
    axes = figure.subplots(1, columns, squeeze=False, gridspec_kw=place)
    epochs = [record["epoch"] for record in history]

    def plot(axis: Any, key: str, label: str, color: str) -> None:
        if key in history[0]:
            values = [record.get(key, np.nan) for record in history]
            axis.plot(epochs, values, color=color, marker="o", ms=3, label=label)

    plot(axes[0, 0], "train_loss", "train", TRAIN)
    for metric, axis in zip((error, primary)[:columns], axes.flat, strict=True):
        plot(axis, f"validation_{metric.name}", "validation", VALIDATION)
        plot(axis, metric.name, "test", TEST)
        axis.set_title(f"{metric.heading}, mean over images", fontsize=10, color=INK, loc="left")
    axes[0, 0].legend(frameon=False, fontsize=9)
    if columns == 2:
        axes[0, 0].set_yscale("log")
    for axis in axes.flat:
        axis.set_xlabel("epoch", fontsize=9, color=MUTED)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(True, which="both", color=GRID, lw=0.6)
        axis.tick_params(labelsize=8, colors=MUTED, which="both")
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def new_figure(size: tuple[float, float], **options: Any) -> Any:
    """Return an empty Matplotlib figure of `size` in inches, which a notebook shows as it shows a picture."""
    from matplotlib.figure import Figure

    figure: Any = Figure(size, **options)
    figure._repr_png_ = lambda: _png(figure)
    return figure


def save_figure(figure: Any, path: Path) -> None:
    """Write `figure` as PNG."""
    write_bytes(path, _png(figure))


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=130, facecolor="white", format="png")
    return buffer.getvalue()
