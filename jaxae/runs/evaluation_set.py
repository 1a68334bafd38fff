"""Images to evaluate networks on, with the noise to add."""

from typing import NamedTuple

from jaxae import noise
from jaxae.data.images import Images
from jaxae.noise import Noise
from jaxae.training.objectives import Objective


class EvaluationSet(NamedTuple):
    """Validation or test images, and the noise to add.

    Attributes:
        name: of the data set.
        images: uint8.
        noise: the noise to add.
        objective: whose loss to report, if the images are noisy themselves and no clean ones are known; else None.
    """

    name: str
    images: Images
    noise: Noise
    objective: Objective | None = None

    @property
    def noise_description(self) -> str:
        """The noise as a short text."""
        has_own = self.objective is not None or self.images.noisy is not None
        return "their own" if has_own and not self.noise.kinds else noise.describe(self.noise)

    @property
    def has_noisy(self) -> bool:
        """Whether there are noisy images and clean ones to compare with."""
        return bool(self.noise.kinds) or self.images.noisy is not None
