"""Drawn pictures that stand for photographs."""

import numpy as np
from PIL import Image


def photograph(seed: int, width: int, height: int) -> Image.Image:
    """Something with low frequencies, as photographs have."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
