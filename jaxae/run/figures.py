"""Pictures of a run, as PNG in its `figures/`: rows of images, and the curves of training."""

from pathlib import Path
from typing import Any

import numpy as np
from jax import Array
from jaxtyping import Float, PyTree

from jaxae import metrics, ops
from jaxae.files import replacing
from jaxae.models import Autoencoder
from jaxae.noise import describe
from jaxae.run import samples
from jaxae.run.test_set import TestSet

INK, MUTED, GRID = "#1a1a2e", "#6b7280", "#e5e7eb"
TRAIN, TEST = "#2563eb", "#d9480f"

Images = Float[Array, "n h w c"] | Float[np.ndarray, "n h w c"]


def write(
    run_dir: Path, model: Autoencoder, params: PyTree, test: TestSet, history: list[dict[str, Any]], columns: int = 10
) -> None:
    """Write `images.png`, the first test images before and after, and, where there is a `history`, `curves.png`."""
    folder = run_dir / "figures"
    folder.mkdir(exist_ok=True)
    first = np.arange(min(columns, len(test.images)))
    clean, noisy, restored, *_ = samples.restore(model, params, test.images, first, test.noise)
    if test.alone:
        save(image_rows({"input": noisy, "restored": restored}), folder / "images.png")
    else:
        noisy_row = {"noisy" if not test.noise.kinds else describe(test.noise): noisy} if test.has_noisy() else {}
        save(image_rows({"original": clean} | noisy_row | {"restored": restored}, clean), folder / "images.png")
    if history:
        save(curves(history), folder / "curves.png")


def image_rows(rows: dict[str, Images], clean: Images | None = None):
    """A figure with a labelled row of images for each of `rows`, each image with its PSNR against `clean` below it."""
    plt = pyplot()
    count, height, width, channels = next(iter(rows.values())).shape
    gap = max(1, width // 12)
    centres = np.arange(count) * (width + gap) + (width - 1) / 2
    labels = [label.replace(" + ", "\n+ ") for label in rows]
    left = 0.15 + 0.16 * max(label.count("\n") + 1 for label in labels)  # inches, as are the others
    row, below, edge = 1.05 * height / (width + gap), 0.25, 0.06
    size = (count * 1.05 + left + edge, len(rows) * (row + below) + edge)
    # measured here: having Matplotlib find out by drawing everything twice takes most of the time of a figure
    place = {"left": left / size[0], "right": 1 - edge / size[0], "bottom": below / size[1], "top": 1 - edge / size[1]}
    figure, axes = plt.subplots(len(rows), figsize=size, squeeze=False, gridspec_kw=place | {"hspace": below / row})
    psnr = ops.jit(metrics.psnr)
    for label, images, axis in zip(labels, rows.values(), axes[:, 0], strict=True):
        strip = np.ones((height, count, width + gap, channels), np.float32)  # one picture a row draws fastest
        strip[:, :, :width] = np.asarray(images).swapaxes(0, 1)
        strip = strip.reshape(height, -1, channels)[:, :-gap]
        axis.imshow(strip.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        values = [] if clean is None else np.asarray(psnr(images, clean))
        decibels = [f"{value:.1f} dB" if np.isfinite(value) else "" for value in values]
        axis.set_xticks(centres if decibels else [], decibels, fontsize=8, color=MUTED)
        axis.tick_params(length=0, pad=2)
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
        axis.set_ylabel(label, fontsize=9, color=INK)
    return figure


def curves(history: list[dict[str, Any]]):
    """A figure of the MSE and the PSNR after each epoch, or of the self-supervised loss where there is nothing else."""
    plt = pyplot()
    from matplotlib.ticker import MaxNLocator

    alone = "loss" in history[0]
    columns = 1 if alone else 2
    width = 4.5 * columns
    place = {"left": 0.65 / width, "right": 1 - 0.15 / width, "bottom": 0.14, "top": 0.91, "wspace": 0.2}
    figure, axes = plt.subplots(1, columns, figsize=(width, 3.4), squeeze=False, gridspec_kw=place)
    left, right = axes[0, 0], axes[0, -1]
    epochs = [record["epoch"] for record in history]
    left.plot(epochs, [record["train_mse"] for record in history], color=TRAIN, marker="o", ms=3, label="train")
    tested = [record["loss" if alone else "mse"] for record in history]
    left.plot(epochs, tested, color=TEST, marker="o", ms=3, label="test")
    left.set_title("self-supervised loss" if alone else "mean squared error", fontsize=10, color=INK, loc="left")
    left.legend(frameon=False, fontsize=9)
    if not alone:
        left.set_yscale("log")
        right.plot(epochs, [record["psnr"] for record in history], color=TEST, marker="o", ms=3)
        right.set_title("test PSNR [dB], mean over images", fontsize=10, color=INK, loc="left")
    for axis in axes.flat:
        axis.set_xlabel("epoch", fontsize=9, color=MUTED)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(True, which="both", color=GRID, lw=0.6)
        axis.tick_params(labelsize=8, colors=MUTED, which="both")
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def save(figure, path: Path) -> None:
    """Write `figure` as PNG and free it."""
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130, facecolor="white", format="png")
    pyplot().close(figure)


def pyplot():
    """matplotlib.pyplot, drawing without a screen."""
    import matplotlib

    matplotlib.use("Agg", force=False)
    import matplotlib.pyplot as plt

    return plt
