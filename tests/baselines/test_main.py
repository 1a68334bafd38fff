"""The classical methods, and their comparison with a network."""

import json
import sys

import numpy as np
import pytest
from skimage.data import camera

from jaxae import metrics
from jaxae.baselines import __main__ as baselines
from jaxae.baselines import methods
from jaxae.errors import UserError
from tests.process import command
from tests.small_run import write_run

SIGMA = 0.1


def mean_metric(restored, clean):
    return metrics.METRICS["psnr"].mean(metrics.psnr(restored, clean))


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
    parameters = methods.tune_method(method, clean[:2], noisy[:2], SIGMA)
    restored = methods.apply_method(method, noisy[2:], SIGMA, parameters)
    assert restored.shape == noisy[2:].shape
    assert restored.dtype == np.float32
    assert restored.min() >= 0
    assert restored.max() <= 1
    gain = mean_metric(restored, clean[2:]) - mean_metric(np.clip(noisy[2:], 0, 1), clean[2:])
    assert gain > 0.5, gain


def test_tuning_takes_the_best_of_the_grid(pair):
    method = methods.METHODS["Gaussian"]
    chosen = methods.tune_method(method, *pair, SIGMA)
    values = {
        blur: mean_metric(methods.apply_method(method, pair[1], SIGMA, {"blur": blur}), pair[0])
        for blur in method.grid["blur"]
    }
    assert chosen == {"blur": max(values, key=values.get)}


def test_the_verdict_is_plain():
    rows = {name: {"psnr": 20.0} for name in methods.METHODS} | {"network": {"psnr": 21.5}}
    rows["wavelet"]["psnr"] = 21.0
    assert baselines.verdict(rows) == ("the network is ahead of the best classical method (wavelet) by 0.50 dB")
    rows["network"]["psnr"] = 20.25
    assert baselines.verdict(rows) == "the network is behind the best classical method (wavelet) by 0.75 dB"


def test_the_table_marks_the_best_of_each_metric_by_its_direction(monkeypatch, capsys):
    tables = []
    monkeypatch.setattr(baselines.output, "print_table", lambda *table: tables.append(table))
    rows = {
        "noisy input": {"mse": 0.1, "psnr": 10.0, "milliseconds": None, "parameters": {}},
        "median": {"mse": 0.01, "psnr": 21.0, "milliseconds": 1.234, "parameters": {"footprint": "disk 1"}},
        "network": {"mse": 0.02, "psnr": 20.0, "milliseconds": 0.1, "parameters": {}},
    }
    about = {"data": {"name": "mnist", "test_images": 4}, "noise": "gaussian 0.5", "verdict": "so"}
    baselines.print_comparison(about | {"rows": rows})
    ((title, columns, bold),) = tables
    assert title == "mnist, 4 test images, noise gaussian 0.5"
    assert columns["PSNR [dB]"] == ["10.00", "21.00", "20.00"]
    assert columns["ms/image"] == ["", "1.23", "0.1"]
    assert bold == {("MSE", 1), ("PSNR [dB]", 1)}
    assert capsys.readouterr().out == "so\n"


def test_no_images_are_refused(monkeypatch):
    for option in ("--images", "--tune-images"):
        monkeypatch.setattr(sys, "argv", ["baselines", "run", option, "0"])
        with pytest.raises(UserError, match="must be at least 1"):
            baselines.main()


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
