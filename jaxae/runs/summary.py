"""The result of a test as JSON types: what summaries, evaluations and reports share."""

from typing import Any

import numpy as np
from jaxtyping import PyTree

from jaxae import metrics
from jaxae.command import machine
from jaxae.runs.digest import tree_digest
from jaxae.runs.evaluation_set import EvaluationSet
from jaxae.runs.scores import Scores, score


def summarize_test(params: PyTree, test: EvaluationSet, scores: Scores) -> dict[str, Any]:
    """Return the means of `scores` and of the noisy images, and what they were measured on."""
    return {
        "test": means_with_noisy(scores, test),
        "data": {"name": test.name, "test_size": test.images.count},
        "noise": test.noise_description,
        "device": machine.device(),
        "params_digest": tree_digest(params),
    }


def means_with_noisy(scores: Scores, test: EvaluationSet) -> dict[str, float]:
    """Return the means of `scores`; if there are noisy images, also theirs as ``noisy_mse`` and so on."""
    if not test.has_noisy:
        return scores.means()
    noisy = score(None, {}, test).means()
    return scores.means() | {f"noisy_{name}": value for name, value in noisy.items()}


def format_test(means: dict[str, float]) -> str:
    """Return the means as text, with the noisy images' primary metric beside the network's."""
    primary = metrics.primary(means)
    parts = [f"{each.label} {each.format(means[each.name])}" for each in metrics.known(means)]
    if (before := means.get(f"noisy_{primary.name}")) is not None:
        place = [each.name for each in metrics.known(means)].index(primary.name)
        parts[place] += f" (noisy {primary.format(before)})"
    return ", ".join(parts) + (" (no clean images are known)" if primary.function is None else "")


def throughput(history: list[dict[str, Any]]) -> dict[str, float]:
    """Return training images per second, the median over epochs, and the seconds of compiling."""
    return {
        "images_per_second": float(np.median([record["images_per_second"] for record in history])),
        "compile_seconds": float(max(record["compile_seconds"] for record in history)),
    }
