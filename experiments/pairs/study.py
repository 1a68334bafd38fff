"""Pairs of noisy and clean photographs, with a noise that jaxae has no name for.

    python experiments/pairs/study.py --work runs/pairs --out experiments/pairs

Cuts of scikit-image's pictures, of mixed sizes, with blotches, stripes and correlated noise; a network is trained on
those of some pictures and restores those of others, beside non-local means tuned on the former.
"""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
import tyro
from PIL import Image
from scipy.ndimage import gaussian_filter

from jaxae import command
from jaxae.baselines.methods import METHODS
from jaxae.config import Config, DataConfig, Launch, TrainConfig
from jaxae.denoising import __main__ as denoising
from jaxae.denoising import before_after
from jaxae.experiments import cifar10_denoise, running

TRAIN = ("astronaut", "coffee", "hubble_deep_field", "immunohistochemistry", "retina", "stereo_motorcycle")
TEST = ("chelsea", "rocket")
CUTS = {"train": 7, "test": 9}  # of each picture
TUNED_ON = 6  # training pairs
SMALLEST, LARGEST = 96, 224  # pixels of a side


@dataclass(frozen=True)
class Arguments:
    """Train on pairs, and compare with non-local means on pictures left out."""

    work: Path
    """Where pictures and the run are written."""
    out: Path
    """Where the table and the figure go."""
    epochs: int = 40
    """Passes over the training pieces."""


def add_noise(clean: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Add dark blotches, horizontal stripes and noise that is correlated between neighbours, to values in [0, 1]."""
    height, width, _ = clean.shape
    blotches = 0.1 * np.clip(gaussian_filter(random.normal(0, 1, (height, width)), 6) * 12, 0, 1)
    stripes = 0.06 * np.sin(np.arange(height) * random.uniform(0.6, 1.2) + random.uniform(0, 6))
    shared = gaussian_filter(random.normal(0, 1, clean.shape), (0.7, 0.7, 0))
    return np.clip(clean - blotches[..., None] + stripes[:, None, None] + 0.08 * shared / shared.std(), 0, 1)


def make_pictures(folder: Path) -> None:
    """Noisy and clean cuts below ``noisy/`` and ``clean/``, each with ``train/`` and ``test/``."""
    random = np.random.default_rng(0)
    for split, names in (("train", TRAIN), ("test", TEST)):
        for name in names:
            loaded = getattr(skimage.data, name)()
            whole = (loaded[0] if isinstance(loaded, tuple) else loaded)[..., :3] / 255
            for number in range(CUTS[split]):
                height, width = random.integers(SMALLEST, LARGEST, 2)
                sizes = zip(whole.shape[:2], (height, width), strict=True)
                top, left = (random.integers(0, size - cut) for size, cut in sizes)
                clean = whole[top : top + height, left : left + width]
                for side, values in (("clean", clean), ("noisy", add_noise(clean, random))):
                    place = folder / side / split / f"{name}-{number}_{side}.png"
                    place.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(np.uint8(np.rint(255 * values))).save(place)


def read(path: Path) -> np.ndarray:
    """A picture's values in [0, 1]."""
    return np.asarray(Image.open(path), np.float32) / 255


def non_local_means(folder: Path) -> dict[str, float]:
    """PSNR of each left-out picture by non-local means, with what was best on some of the training pairs."""
    method = METHODS["non-local means"]

    def pairs(split: str) -> list[tuple[str, np.ndarray, np.ndarray]]:
        found = sorted((folder / "noisy" / split).iterdir())
        clean = folder / "clean" / split
        return [(path.name, read(path), read(clean / path.name.replace("_noisy", "_clean"))) for path in found]

    def psnr(noisy: np.ndarray, clean: np.ndarray, choice: dict) -> float:
        restored = method.function(noisy, float(np.std(noisy - clean)), **choice)
        return before_after.measure_picture(restored.astype(np.float32), clean)["psnr"]

    tuning = pairs("train")[:: len(pairs("train")) // TUNED_ON][:TUNED_ON]
    choices = [dict(zip(method.grid, values, strict=True)) for values in itertools.product(*method.grid.values())]
    best = max(choices, key=lambda choice: sum(psnr(noisy, clean, choice) for _, noisy, clean in tuning))
    return {name: psnr(noisy, clean, best) for name, noisy, clean in pairs("test")}


def main() -> None:
    """Make the study."""
    arguments = tyro.cli(Arguments)
    command.enable_compilation_cache()
    pictures, run_dir, restored = (arguments.work / name for name in ("pictures", "run", "restored"))
    make_pictures(pictures)
    data = DataConfig(f"pairs:{pictures / 'noisy'},{pictures / 'clean'}")
    config = Config(data, train=TrainConfig(epochs=arguments.epochs), recipe="fast")
    summary = running.run_config(cifar10_denoise.EXPERIMENT, config, Launch(run_dir=run_dir))
    noisy, clean = pictures / "noisy" / "test", pictures / "clean" / "test"
    done = denoising.denoise_files(denoising.Arguments(run_dir, (noisy,), restored, reference=clean))
    by_means = non_local_means(pictures)
    result = {
        "training_pairs": CUTS["train"] * len(TRAIN),
        "left_out": len(done["pictures"]),
        "noisy": done["means"]["noisy_psnr"],
        "network": done["means"]["psnr"],
        "non-local means": float(np.mean(list(by_means.values()))),
        "epochs": arguments.epochs,
        "training_images_per_second": summary["throughput"]["images_per_second"],
        "denoise_seconds": done["seconds"],
        "pictures": [
            {"name": Path(row["input"]).name, "noisy": row["noisy_psnr"], "network": row["psnr"],
             "non-local means": by_means[Path(row["input"]).name]}
            for row in done["pictures"]
        ],
    }  # fmt: skip
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "pairs.json").write_text(json.dumps(result, indent=2) + "\n")
    figure = Image.open(done["figure"]).convert("P", palette=Image.Palette.ADAPTIVE, colors=128)
    figure.resize((figure.width * 2 // 3, figure.height * 2 // 3)).save(arguments.out / "pairs.png", optimize=True)
    print(json.dumps({name: value for name, value in result.items() if name != "pictures"}, indent=2))


if __name__ == "__main__":
    main()
