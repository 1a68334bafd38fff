"""Draw docs/images/strip.jpg: MNIST, CIFAR-10 and a photograph, noisy and restored.

    JAXAE_TEST_DATA=FOLDER python docs/make_strip.py

FOLDER has `mnist/` (the four official files) and `tensorflow_datasets/` (CIFAR-10, prepared). Both networks are trained
with `--recipe fast`, seed 0, in `runs/strip`, within minutes; existing runs are used again.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from skimage import data as photographs

from jaxae import data, metrics, ops, training
from jaxae.metrics import Images
from jaxae.runs import figures, samples, scores, trained
from jaxae.runs.trained import TrainedRun

TARGET = Path(__file__).parent / "images" / "strip.jpg"
FOLDER = Path("runs/strip")
HEIGHT = 224  # pixels of a row: 8 times MNIST's, 7 times CIFAR-10's
FIRST, COUNT = 1, 3  # test images shown
SHOWN = np.s_[70:182, 148:348]  # of the photograph, scikit-image's cat (CC0)
QUALITY = 80


class Panel(NamedTuple):
    """A title, and the noisy and the restored picture with their mean PSNR in dB."""

    title: str
    noisy: Float[np.ndarray, "height width channels"]
    restored: Float[np.ndarray, "height width channels"]
    psnr: tuple[float, float]


def train(experiment: str, data_dir: Path) -> TrainedRun:
    """The run of `experiment` with the fast recipe, trained unless it is there."""
    run_dir = FOLDER / experiment
    if not (run_dir / "summary.json").exists():
        command = [sys.executable, "-m", f"jaxae.experiments.{experiment}", "--recipe", "fast"]
        subprocess.run([*command, "--run-dir", run_dir, "--data.dir", data_dir, "--resume"], check=True)
    return trained.load_run(run_dir)


def of_test(run: TrainedRun, title: str) -> Panel:
    """Test images of the run's own data, side by side."""
    test = trained.open_test(run)
    indices = np.arange(FIRST, FIRST + COUNT)
    shown = samples.restore_samples(run.network, run.params, test.images, indices, test.noise)
    psnr = mean_metric(shown.clean, shown.noisy, shown.restored)
    return Panel(title, side_by_side(shown.noisy), side_by_side(shown.restored), psnr)


def of_photograph(run: TrainedRun, title: str) -> Panel:
    """The middle of a photograph with the noise of the run; its PSNR is that of the whole photograph."""
    clean = training.to_float(jnp.asarray(photographs.cat()[None]))
    noisy = trained.open_test(run).noise(jax.random.key(scores.TEST_KEY), clean)
    model = run.network.clone(backend="xla")  # compiles soonest for a picture of this size
    restored = ops.jit(scores.restore_images, model.backend, static_argnums=0)(model, run.params, noisy)
    noisy = jnp.clip(noisy, 0, 1)
    middles = (side_by_side(np.asarray(state)[:, *SHOWN]) for state in (noisy, restored))
    return Panel(title, *middles, mean_metric(clean, noisy, restored))


def side_by_side(images: Float[np.ndarray, "n height width channels"]) -> Float[np.ndarray, "height all channels"]:
    """The images in a row, every pixel a square, in colour."""
    scale = HEIGHT // images.shape[1]
    row = np.concatenate(list(images.repeat(scale, axis=1).repeat(scale, axis=2)), axis=1)
    return np.broadcast_to(row, (*row.shape[:2], 3))


def mean_metric(clean: Images, noisy: Images, restored: Images) -> tuple[float, ...]:
    """The mean image metric of the noisy and of the restored images."""
    return tuple(
        metrics.IMAGE_METRIC.mean(np.asarray(metrics.IMAGE_METRIC.function(state, clean)))
        for state in (noisy, restored)
    )


def draw(panels: list[Panel]) -> None:
    """Write the strip: a column for each panel, noisy above restored."""
    widths = [panel.noisy.shape[1] for panel in panels]
    size = sum(widths) / 100 + 0.6, 2 * HEIGHT / 100 + 1.4
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(2, len(panels), width_ratios=widths)
    for panel, column in zip(panels, axes.T, strict=True):
        for axis, state, psnr in zip(column, (panel.noisy, panel.restored), panel.psnr, strict=True):
            axis.imshow(state, interpolation="nearest", aspect="auto")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
            axis.set_xlabel(f"{psnr:.1f} dB", fontsize=19, color=figures.MUTED, labelpad=4)
        column[0].set_title(panel.title, fontsize=21, color=figures.INK, pad=10)
    for axis, label in zip(axes[:, 0], ("noisy", "restored"), strict=True):
        axis.set_ylabel(label, fontsize=21, color=figures.INK)
    TARGET.parent.mkdir(exist_ok=True)
    figure.savefig(TARGET, dpi=100, facecolor="white", pil_kwargs={"quality": QUALITY, "optimize": True})


def main() -> None:
    """Train, restore and draw."""
    real = Path(os.environ["JAXAE_TEST_DATA"])
    data.prepare("mnist", FOLDER / "data", real / "mnist")
    digits = train("mnist_denoise", FOLDER / "data")
    colours = train("cifar10_denoise", real / "tensorflow_datasets")
    draw(
        [
            of_test(digits, "MNIST, noise 0.5"),
            of_test(colours, "CIFAR-10, noise 0.1"),
            of_photograph(colours, "photograph, noise 0.1"),
        ]
    )


if __name__ == "__main__":
    main()
