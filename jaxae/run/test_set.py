"""Test images with what is known of them: the noise to put on them, or that it is their own."""

from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxae import noise
from jaxae.config import TrainConfig
from jaxae.data import halves
from jaxae.noise import Noise
from jaxae.training import self_supervised


class Alone(NamedTuple):
    """How a network is tested on images that are noisy themselves: by the loss that it was trained with."""

    target: self_supervised.Target
    sigma: float  # of "sure": the noise's standard deviation


class TestSet(NamedTuple):
    """Test images, and the noise to put on them."""

    name: str
    images: UInt8[np.ndarray, "n height width channels"]
    noise: Noise
    alone: Alone | None = None  # where the images are noisy themselves, and no clean ones are known

    __test__ = False  # for pytest

    def describe_noise(self) -> str:
        """The noise in words."""
        own = self.alone is not None or halves.are_pairs(self.images.shape)
        return "their own" if own and not self.noise.kinds else noise.describe(self.noise)

    def has_noisy(self) -> bool:
        """Whether there are noisy images and clean ones beside them."""
        return bool(self.noise.kinds) or halves.are_pairs(self.images.shape)


def without_clean(settings: TrainConfig, corruption: Noise) -> Alone | None:
    """How to test where nothing but noisy images is known; None where there are clean ones to compare with."""
    if corruption.kinds or settings.target not in self_supervised.TARGETS:
        return None
    return Alone(settings.target, settings.sigma or 0.0)
