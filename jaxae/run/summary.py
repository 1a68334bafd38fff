"""What a test says of a network, as JSON types: the part that summaries, evaluations and reports have in common."""

from typing import Any

import numpy as np
from jaxtyping import PyTree

from jaxae import metrics
from jaxae.command import machine
from jaxae.run.digest import digest
from jaxae.run.scores import Losses, Scores, score
from jaxae.run.test_set import TestSet


def of_test(params: PyTree, test: TestSet, scores: Scores | Losses) -> dict[str, Any]:
    """The means of `scores` and of the noisy input's own, and what they were measured on."""
    return {
        "test": means_with_noisy(scores, test),
        "data": {"name": test.name, "test_size": len(test.images)},
        "noise": test.describe_noise(),
        "device": machine.device(),
        "params_digest": digest(params),
    }


def means_with_noisy(scores: Scores | Losses, test: TestSet) -> dict[str, float]:
    """The means of `scores`, and where there is noise those of the noisy input itself as ``noisy_mse`` and so on."""
    if not test.has_noisy():
        return scores.means()
    noisy = score(None, {}, test).means()
    return scores.means() | {f"noisy_{name}": value for name, value in noisy.items()}


def line(means: dict[str, float]) -> str:
    """The means in words, the noisy input's PSNR beside the network's."""
    if "loss" in means:
        return f"{metrics.in_words(means)} (no clean images are known)"
    before = f" (noisy input {means['noisy_psnr']:.2f})" if "noisy_psnr" in means else ""
    return f"mse {means['mse']:.5f}, psnr {means['psnr']:.2f} dB{before}, ssim {means['ssim']:.4f}"


def throughput(history: list[dict[str, Any]]) -> dict[str, float]:
    """Training images per second, the median over epochs, and seconds of compiling."""
    return {
        "images_per_second": float(np.median([record["images_per_second"] for record in history])),
        "compile_seconds": float(max(record["compile_seconds"] for record in history)),
    }
