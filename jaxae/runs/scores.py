"""How well a network restores images: the metrics of every image, and what selects the best epoch."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, PyTree

from jaxae import metrics
from jaxae.networks import Network
from jaxae.runs.evaluation_set import EvaluationSet
from jaxae.training.testing import BATCH_SIZE as BATCH_SIZE
from jaxae.training.testing import TEST_KEY as TEST_KEY
from jaxae.training.testing import add_test_noise as add_test_noise
from jaxae.training.testing import measure_from_host
from jaxae.training.testing import restore_images as restore_images


class Scores(NamedTuple):
    """The metrics of every image.

    Attributes:
        values: by the metric's name, one value for each image.
        spread: see `jaxae.training.testing.Measured`.
    """

    values: dict[str, Float[np.ndarray, " n"]]
    spread: float = 1.0

    def means(self) -> dict[str, float]:
        """Return the mean over images of each metric."""
        return {name: metrics.METRICS[name].mean(values) for name, values in self.values.items()}


def validation_score(record: Mapping[str, Any]) -> float | None:
    """Return the number that the best epoch has most of, from its metrics; None without a validation part."""
    return metrics.rank_score(
        {name.removeprefix("validation_"): record[name] for name in record if "validation_" in name}
    )


def score(model: Network | None, params: PyTree, evaluation: EvaluationSet) -> Scores:
    """Add noise to the images, restore them, and compare them with the clean ones, if those are known."""
    measured = measure_from_host(model, evaluation.objective, params, evaluation.noise, evaluation.images)
    return Scores(measured.values, float(measured.spread))
