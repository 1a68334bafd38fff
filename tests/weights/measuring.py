"""What the weights that ship reach, in dB: rows for the table of a model card.

python -m tests.weights.measuring ready astronaut 0.1
"""

import sys

import numpy as np

import jaxae
from jaxae.data import digits

SIDE = 128  # of the middle of a photograph


def load_clean(picture: str) -> np.ndarray:
    """The middle of a photograph of scikit-image, or "digits": drawn digits [100, 28, 28]; floats in [0, 1]."""
    if picture == "digits":
        images, _ = next(digits.generate("test", digits.CHUNK))
        return images[:100, ..., 0].astype(np.float32) / 255
    import skimage.data

    whole = getattr(skimage.data, picture)()
    top, left = ((length - SIDE) // 2 for length in whole.shape[:2])
    return whole[top : top + SIDE, left : left + SIDE].astype(np.float32) / 255


def measure_row(name: str, picture: str, sigma: float) -> str:
    """The row of a card for Gaussian noise of this standard deviation, clipped: PSNR before and after."""
    clean = load_clean(picture)
    noise = np.random.default_rng(0).normal(0, sigma, clean.shape)
    noisy = np.clip(clean + noise, 0, 1).astype(np.float32)
    before, after = (-10 * np.log10(np.mean((each - clean) ** 2)) for each in (noisy, jaxae.denoise(noisy, model=name)))
    return f"| {picture} | {sigma:g} | {before:.2f} | {after:.2f} |"


if __name__ == "__main__":
    name, picture, *sigmas = sys.argv[1:]
    for sigma in sigmas:
        print(measure_row(name, picture, float(sigma)))
