"""Pictures of a run, as PNG in its `figures/`: rows of images, and the curves of training."""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, PyTree, UInt8

from jaxae import metrics
from jaxae.noise import Noise, describe
from jaxae.runs import replacing
from jaxae.scores import Restore, clipped, corrupt

INK, MUTED, GRID = "#1a1a2e", "#6b7280", "#e5e7eb"
TRAIN, TEST = "#2563eb", "#d9480f"


def write(
    run_dir: Path,
    restore: Restore,
    variables: PyTree,
    images: UInt8[np.ndarray, "n h w c"],
    noise: Noise,
    lines: list[dict[str, Any]],
    columns: int = 10,
) -> None:
    """Write `images.png`, the first test images before and after, and, where there are `lines`, `curves.png`."""
    folder = run_dir / "figures"
    folder.mkdir(exist_ok=True)
    clean, noisy, restored = _before_and_after(restore, noise, variables, images[:columns])
    noisy_row = {describe(noise): noisy} if noise.kinds else {}
    rows = {"original": clean} | noisy_row | {"restored": restored}
    save(image_rows(rows, clean), folder / "images.png")
    if lines:
        save(curves(lines), folder / "curves.png")


@functools.partial(jax.jit, static_argnums=(0, 1))
def _before_and_after(
    restore: Restore, noise: Noise, variables: PyTree, images: UInt8[Array, "n h w c"]
) -> tuple[Float[Array, "n h w c"], Float[Array, "n h w c"], Float[Array, "n h w c"]]:
    clean, noisy = corrupt(noise, images, jnp.arange(len(images), dtype=jnp.uint32))
    return clean, clipped(variables, noisy), restore(variables, noisy)


def image_rows(rows: dict[str, Float[Array, "n h w c"]], clean: Float[Array, "n h w c"]):
    """A figure with a labelled row of images for each of `rows`, each image with its PSNR against `clean` below it."""
    plt = pyplot()
    count, height, width, channels = clean.shape
    gap = max(1, width // 12)
    centres = np.arange(count) * (width + gap) + (width - 1) / 2
    size = (count * 1.05 + 0.9, len(rows) * (1.05 * height / width + 0.25))
    figure, axes = plt.subplots(len(rows), figsize=size, squeeze=False, layout="constrained")
    psnr = jax.jit(metrics.psnr)
    for (label, images), axis in zip(rows.items(), axes[:, 0], strict=True):
        strip = np.ones((height, count, width + gap, channels), np.float32)  # one picture a row draws fastest
        strip[:, :, :width] = np.asarray(images).swapaxes(0, 1)
        strip = strip.reshape(height, -1, channels)[:, :-gap]
        axis.imshow(strip.squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        decibels = [f"{value:.1f} dB" if np.isfinite(value) else "" for value in np.asarray(psnr(images, clean))]
        axis.set_xticks(centres, decibels, fontsize=8, color=MUTED)
        axis.tick_params(length=0, pad=2)
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
        axis.set_ylabel(label.replace(" + ", "\n+ "), fontsize=9, color=INK)
    return figure


def curves(lines: list[dict[str, Any]]):
    """A figure of the MSE and the PSNR after each epoch, from the lines of `metrics.jsonl`."""
    plt = pyplot()
    from matplotlib.ticker import MaxNLocator

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    epochs = [line["epoch"] for line in lines]
    left.plot(epochs, [line["train_mse"] for line in lines], color=TRAIN, marker="o", ms=3, label="train")
    left.plot(epochs, [line["mse"] for line in lines], color=TEST, marker="o", ms=3, label="test")
    left.set_title("mean squared error", fontsize=10, color=INK, loc="left")
    left.set_yscale("log")
    left.legend(frameon=False, fontsize=9)
    right.plot(epochs, [line["psnr"] for line in lines], color=TEST, marker="o", ms=3)
    right.set_title("test PSNR [dB], mean over images", fontsize=10, color=INK, loc="left")
    for axis in (left, right):
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
