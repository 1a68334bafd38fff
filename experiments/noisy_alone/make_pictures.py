"""Twelve noisy photographs, and their clean ones to compare with afterwards, cut from scikit-image's pictures.

python experiments/noisy_alone/make_pictures.py runs/twelve
"""

import sys
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

NAMES = "astronaut", "coffee", "chelsea", "rocket"
SIGMA = 0.1  # of the Gaussian noise, for values in [0, 1]
SIDE = 256


def main(folder: Path) -> None:
    """Three pieces of each picture, below ``noisy/`` and ``clean/``."""
    random = np.random.default_rng(0)
    for name in NAMES:
        whole = getattr(skimage.data, name)()[..., :3]
        lefts = np.linspace(0, whole.shape[1] - SIDE, 3).astype(int)
        for number, left in enumerate(lefts):
            top = random.integers(0, whole.shape[0] - SIDE + 1)
            clean = whole[top : top + SIDE, left : left + SIDE]
            noisy = np.clip(clean / 255 + random.normal(0, SIGMA, clean.shape), 0, 1)
            for side, pixels in (("clean", clean), ("noisy", np.uint8(np.rint(255 * noisy)))):
                (folder / side).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / side / f"{name}-{number}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
