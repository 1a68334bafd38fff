"""The classical methods, and their comparison with a network."""

import json

import numpy as np
import pytest
from skimage.data import camera

from jaxae import metrics
from jaxae.baselines import __main__ as baselines
from jaxae.baselines import methods
from tests.process import command
from tests.small_run import write_run

SIGMA = 0.1


def mean_psnr(restored, clean):
    return metrics.mean_psnr(metrics.psnr(restored, clean))


@pytest.fixture(scope="module")
def pair():
    """Six clean cuts of a photograph, and noisy ones."""
    picture = camera()[::2, ::2].astype(np.float32) / 255
    clean = np.stack([picture[top : top + 32, left : left + 32] for top in (0, 40, 80) for left in (10, 60)])[..., None]
    return clean, clean + np.float32(SIGMA) * np.random.default_rng(0).normal(size=clean.shape).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", methods.METHODS)
def test_each_method_tuned_removes_noise_from_other_images(name, channels, pair):
    random = np.random.default_rng(1)
    clean = np.repeat(pair[0], channels, axis=-1)
    noisy = clean + np.float32(SIGMA) * random.normal(size=clean.shape).astype(np.float32)
    method = methods.METHODS[name]
    parameters = methods.tune(method, clean[:2], noisy[:2], SIGMA)
    restored = methods.apply(method, noisy[2:], SIGMA, parameters)
    assert restored.shape == noisy[2:].shape
    assert restored.dtype == np.float32
    assert restored.min() >= 0
    assert restored.max() <= 1
    gain = mean_psnr(restored, clean[2:]) - mean_psnr(np.clip(noisy[2:], 0, 1), clean[2:])
    assert gain > 0.5, gain


def test_tuning_takes_the_best_of_the_grid(pair):
    method = methods.METHODS["Gaussian"]
    chosen = methods.tune(method, *pair, SIGMA)
    values = {
        blur: mean_psnr(methods.apply(method, pair[1], SIGMA, {"blur": blur}), pair[0]) for blur in method.grid["blur"]
    }
    assert chosen == {"blur": max(values, key=values.get)}
    assert methods.at_edge(method, {"blur": 0.3}) == ["blur"]
    assert methods.at_edge(method, {"blur": 0.7}) == []


def test_the_verdict_is_plain():
    rows = {name: {"psnr": 20.0} for name in methods.METHODS} | {"network": {"psnr": 21.5}}
    rows["wavelet"]["psnr"] = 21.0
    assert baselines.verdict(rows) == (
        "the network is ahead of every classical method, of the best (wavelet) by 0.50 dB"
    )
    rows["network"]["psnr"] = 20.25
    assert baselines.verdict(rows) == "the network is behind wavelet; it lacks 0.75 dB to the best (wavelet)"


@pytest.mark.slow
def test_the_command_scores_the_images_of_the_evaluation(tmp_path, prepared_data):
    run_dir = tmp_path / "run"
    write_run(run_dir, "mnist")
    data = ("--data.name", "mnist", "--data.dir", prepared_data)
    result = command("jaxae.baselines", run_dir, *data, "--images", 20, "--tune-images", 2, "--json")
    assert result.status == 0, result.err
    (compared,) = json.loads(result.out)
    assert list(compared["rows"]) == ["noisy input", *methods.METHODS, "network"]
    assert compared == json.loads((run_dir / "baselines.json").read_text())
    assert (run_dir / "figures" / "baselines.png").read_bytes().startswith(b"\x89PNG")
    assert all(row["milliseconds"] > 0 for label, row in compared["rows"].items() if label != "noisy input")
    assert compared["rows"]["noisy input"]["psnr"] == pytest.approx(9.38, abs=0.15)
    assert compared["rows"]["network"]["psnr"] < 20
