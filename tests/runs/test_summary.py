"""What a test says, from scores that are made up."""

import numpy as np
import pytest

from jaxae import noise
from jaxae.data import Images
from jaxae.runs import summary
from jaxae.runs.digest import tree_digest
from jaxae.runs.evaluation_set import EvaluationSet
from jaxae.runs.scores import Scores
from jaxae.training import objectives

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 1), np.uint8)
GAUSSIAN, NONE = noise.parse("gaussian", 0.1), noise.parse("none")
PAIRS = EvaluationSet("pairs", Images(IMAGES, IMAGES), NONE)
ALONE = EvaluationSet("photos", Images(IMAGES), NONE, objectives.Sure(0.1))


def test_a_test_is_summarized_with_what_it_was_measured_on():
    scores, params = Scores({"mse": np.float32([0.25, 0.75])}), {"kernel": np.ones(2, np.float32)}
    found = summary.summarize_test(params, EvaluationSet("photos", Images(IMAGES), GAUSSIAN), scores)
    assert found["test"]["mse"] == 0.5
    assert found["test"]["noisy_mse"] == pytest.approx(0.01, rel=0.5)  # less the values that clipping brings back
    assert found["data"] == {"name": "photos", "test_size": 2}
    assert found["noise"] == "gaussian 0.1"
    assert found["params_digest"] == tree_digest(params)


@pytest.mark.parametrize(
    ("test", "described", "has_noisy"),
    [
        (PAIRS, "their own", True),
        (PAIRS._replace(noise=GAUSSIAN), "gaussian 0.1", True),
        (ALONE, "their own", False),
        (ALONE._replace(objective=None), "none", False),
        (ALONE._replace(noise=GAUSSIAN, objective=None), "gaussian 0.1", True),
    ],
)
def test_images_have_added_noise_their_own_or_none(test, described, has_noisy):
    assert (test.noise_description, test.has_noisy) == (described, has_noisy)
    means = summary.means_with_noisy(Scores({"loss": np.zeros(2, np.float32)}), test)
    assert ("noisy_mse" in means) == has_noisy


def test_the_means_as_text_have_the_noisy_images_beside_the_metric_that_networks_are_compared_by():
    means = {"mse": 0.01, "psnr": 20.0, "noisy_mse": 1.0, "noisy_psnr": 0.0}
    assert summary.format_test(means) == "MSE 0.01000, PSNR 20.00 dB (noisy 0.00 dB)"
    assert summary.format_test({"mse": 0.01, "psnr": 20.0}) == "MSE 0.01000, PSNR 20.00 dB"
    assert summary.format_test({"loss": 0.5}) == "self-supervised loss 0.50000 (no clean images are known)"


def test_throughput_is_the_median_and_all_of_compiling():
    history = [{"images_per_second": speed, "compile_seconds": 7.0 * (speed == 1)} for speed in (1.0, 10.0, 12.0)]
    assert summary.throughput(history) == {"images_per_second": 10.0, "compile_seconds": 7.0}
