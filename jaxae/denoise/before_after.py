"""Before and after: how close a picture of any size is to the clean one, in metrics and in a figure."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from jaxae import metrics
from jaxae.run import figures as drawing

CUT = 256  # pixels of a picture's middle that are shown
LEAST = 11  # pixels along either side that SSIM needs

Values = Float32[np.ndarray, "height width channels"]


class Column(NamedTuple):
    """A picture in the figure: its name, the middles of its states, and the PSNR of each whole state."""

    name: str
    middles: dict[str, Values]
    psnr: dict[str, float]


def psnr(image: Values, clean: Values) -> float:
    """PSNR in dB for a data range of 1, of `image` clipped to [0, 1]; 100 where there is no difference."""
    return metrics.mean_psnr(metrics.psnr(np.clip(image, 0, 1)[None], clean[None]))


def ssim(image: Values, clean: Values) -> float | None:
    """SSIM as `jaxae.metrics.ssim` has it, of `image` clipped to [0, 1]; None for pictures below 11×11."""
    from skimage.metrics import structural_similarity

    if min(clean.shape[:2]) < LEAST:
        return None
    return float(
        structural_similarity(
            np.clip(image, 0, 1), clean,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, channel_axis=-1,
        )
    )  # fmt: skip


def measure(clean: Values, noisy: Values, restored: Values) -> dict[str, float | None]:
    """PSNR and SSIM of the noisy and of the restored picture."""
    return {
        "noisy_psnr": psnr(noisy, clean),
        "psnr": psnr(restored, clean),
        "noisy_ssim": ssim(noisy, clean),
        "ssim": ssim(restored, clean),
    }


def means(rows: list[dict[str, Any]]) -> dict[str, float | None]:
    """The means of `measure` over `rows`, of SSIM over the pictures that have one."""
    result = {}
    for name in ("noisy_psnr", "psnr", "noisy_ssim", "ssim"):
        values = [row[name] for row in rows if row[name] is not None]
        result[name] = float(np.mean(values)) if values else None
    return result


def line(name: str, row: dict[str, Any]) -> str:
    """The metrics of `row` in words."""
    text = f"{name[:40]:<24}  psnr {row['noisy_psnr']:5.2f} → {row['psnr']:5.2f} dB"
    return text if row["ssim"] is None else f"{text}   ssim {row['noisy_ssim']:.3f} → {row['ssim']:.3f}"


def column(name: str, clean: Values, noisy: Values, restored: Values) -> Column:
    """What the figure shows of a picture."""
    states = {"original": clean, "noisy": noisy, "restored": restored}
    top, left = (max(0, (length - CUT) // 2) for length in clean.shape[:2])
    middles = {state: np.clip(values[top : top + CUT, left : left + CUT], 0, 1) for state, values in states.items()}
    return Column(name, middles, {state: psnr(states[state], clean) for state in ("noisy", "restored")})


def save(columns: list[Column], noise: str, path: Path) -> None:
    """A figure with a column for each picture: original, noisy and restored, pixel by pixel, PSNR below."""
    plt = drawing.pyplot()
    states = {"original": "original", "noisy": noise, "restored": "restored"}
    figure, axes = plt.subplots(
        len(states), len(columns), figsize=(0.4 + 2.6 * len(columns), 8.4), squeeze=False, layout="constrained"
    )
    for axis_column, shown in zip(axes.T, columns, strict=True):
        for axis, (state, label) in zip(axis_column, states.items(), strict=True):
            axis.imshow(shown.middles[state].squeeze(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
            if state in shown.psnr:
                axis.set_xlabel(f"{shown.psnr[state]:.1f} dB", fontsize=9, color=drawing.MUTED, labelpad=3)
            if shown is columns[0]:
                axis.set_ylabel(label.replace(" + ", "\n+ "), fontsize=10, color=drawing.INK)
        name = shown.name if len(shown.name) <= 28 else f"{shown.name[:27]}…"
        axis_column[0].set_title(name.replace("$", r"\$"), fontsize=9, color=drawing.INK)
    drawing.save(figure, path)
