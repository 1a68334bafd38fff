"""Compare the shipped network for photographs with non-local means, on photographs that it was not trained on.

    python -m benchmarks.photographs [--pictures FILES…] [--json FILE] [--figure FILE]

The photographs are scikit-image's astronaut, chelsea and coffee, and further ones that are named. Noise is Gaussian;
noisy pictures are clipped and rounded to 8 bits, as files are. Non-local means is told the standard deviation of the
noise, and the network is not. Its strength `h` is the best of `STRENGTHS` for each noise.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import color, data
from skimage.metrics import peak_signal_noise_ratio
from skimage.restoration import denoise_nl_means

import jaxae
from benchmarks.common import machine, print_table, write_json

SIGMAS = 0.01, 0.02, 0.05, 0.1, 0.2
STRENGTHS = 0.4, 0.5, 0.6, 0.7, 0.8  # of the standard deviation of the noise
SHOWN = "coffee", 0.1, (slice(90, 250), slice(300, 540))  # of the figure: photograph, noise, part

Picture = np.ndarray  # uint8 [height, width, 3] or [height, width]


def photographs(files: list[Path]) -> dict[str, Picture]:
    """Return the photographs by name."""
    found = {name: getattr(data, name)() for name in ("astronaut", "chelsea", "coffee")}
    return found | {file.stem: np.asarray(Image.open(file).convert("RGB")) for file in files}


def add_noise(picture: Picture, sigma: float, seed: int) -> Picture:
    """Return `picture` with Gaussian noise, clipped and rounded."""
    noisy = picture / 255 + sigma * np.random.default_rng(seed).standard_normal(picture.shape)
    return np.rint(255 * np.clip(noisy, 0, 1)).astype(np.uint8)


def non_local_means(picture: Picture, sigma: float, strength: float) -> Picture:
    """Return what scikit-image's filter makes of `picture`."""
    floats, axis = np.float32(picture / 255), -1 if picture.ndim == 3 else None
    options = {"patch_size": 5, "patch_distance": 6, "fast_mode": True}
    restored = denoise_nl_means(floats, h=strength * sigma, sigma=sigma, channel_axis=axis, **options)
    return np.rint(255 * np.clip(restored, 0, 1)).astype(np.uint8)


def measure(pictures: list[Picture], restore: Callable[[Picture], Picture], clean: list[Picture]) -> tuple[Any, float]:
    """Return the PSNR of each restored picture in decibels, and the megapixels a second."""
    start = time.perf_counter()
    restored = [restore(picture) for picture in pictures]
    seconds = time.perf_counter() - start
    pairs = zip(clean, restored, strict=True)
    return [float(peak_signal_noise_ratio(*pair)) for pair in pairs], sum(
        p[..., 0].size if p.ndim == 3 else p.size for p in clean
    ) / 1e6 / seconds


def compare(clean: dict[str, Picture], sigma: float, model: Any) -> dict[str, Any]:
    """Return a row of the table."""
    pictures = list(clean.values())
    noisy = [add_noise(picture, sigma, seed) for seed, picture in enumerate(pictures)]
    filtered = [
        measure(noisy, lambda picture, s=strength: non_local_means(picture, sigma, s), pictures)
        for strength in STRENGTHS
    ]
    best = max(range(len(STRENGTHS)), key=lambda number: np.mean(filtered[number][0]))
    for picture in noisy:
        jaxae.denoise(picture, model)  # compiles
    ours = measure(noisy, lambda picture: jaxae.denoise(picture, model), pictures)
    given = measure(noisy, lambda picture: picture, pictures)
    return {
        "pictures": "grey" if pictures[0].ndim == 2 else "colour",
        "sigma": sigma,
        "noisy": float(np.mean(given[0])),
        "filter": float(np.mean(filtered[best][0])),
        "ours": float(np.mean(ours[0])),
        "ahead": float(np.mean(ours[0]) - np.mean(filtered[best][0])),
        "worst_gain": float(np.min(np.subtract(ours[0], given[0]))),
        "strength": STRENGTHS[best],
        "filter_megapixels_per_second": filtered[best][1],
        "megapixels_per_second": ours[1],
        "by_picture": {name: [given[0][n], filtered[best][0][n], ours[0][n]] for n, name in enumerate(clean)},
    }


def draw(clean: Picture, sigma: float, part: tuple[slice, slice], model: Any, path: Path) -> None:
    """Write a figure of a part of a photograph: noisy, filtered, ours and clean."""
    from matplotlib.figure import Figure

    noisy = add_noise(clean, sigma, 0)
    shown = {
        f"noisy, σ = {sigma}": noisy,
        "non-local means, σ known": non_local_means(noisy, sigma, 0.6),
        "jaxae.denoise": jaxae.denoise(noisy, model),
        "clean": clean,
    }
    figure = Figure((12, 2.5), layout="constrained")
    for axis, (title, picture) in zip(figure.subplots(1, len(shown)), shown.items(), strict=True):
        axis.imshow(picture[part])
        value = "" if picture is clean else f", {peak_signal_noise_ratio(clean, picture):.1f} dB"
        axis.set_title(title + value, fontsize=9)
        axis.set_axis_off()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", nargs="+", type=Path, default=[], help="further photographs")
    parser.add_argument("--weights", default="ready", help="what jaxae.load takes")
    parser.add_argument("--sigmas", nargs="+", type=float, default=SIGMAS)
    parser.add_argument("--json", type=Path, help="where the results go")
    parser.add_argument("--figure", type=Path, help="where the figure goes")
    args = parser.parse_args()
    model, clean = jaxae.load(args.weights), photographs(args.pictures)
    if args.figure:
        name, sigma, part = SHOWN
        draw(clean[name], sigma, part, model, args.figure)
    grey = {name: np.rint(255 * color.rgb2gray(picture)).astype(np.uint8) for name, picture in clean.items()}
    rows = [compare(pictures, sigma, model) for pictures in (clean, grey) for sigma in args.sigmas]
    columns = {"pictures": "", "sigma": "", "noisy": ".2f", "filter": ".2f", "ours": ".2f", "ahead": "+.2f"}
    columns |= {"worst_gain": "+.2f", "filter_megapixels_per_second": ".2f", "megapixels_per_second": ".2f"}
    print_table(rows, columns)
    write_json(args.json, {"rows": rows, "machine": machine()})


if __name__ == "__main__":
    main()
