import json
import sys

import numpy as np
import pytest
from PIL import Image

from jaxae import command, evaluate
from jaxae.config import DataOverride, NoiseOverride
from jaxae.runs.digest import tree_digest
from tests.small_run import add_checkpoint, write_run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run whose best checkpoint is not its latest, a folder of pictures, and the parameters of the best."""
    place = tmp_path_factory.mktemp("evaluate")
    best = write_run(place / "run", "mnist", backend="xla")
    add_checkpoint(place / "run", "mnist", 4, seed=1, score=9.0)
    (place / "photos").mkdir()
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (28, 28), np.uint8)
        Image.fromarray(pixels).save(place / "photos" / f"{number}.png")
    return place / "run", f"folder:{place / 'photos'}", best


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setattr(command, "enable_compilation_cache", lambda: None)


def test_a_run_is_evaluated_as_the_options_say(made):
    run_dir, name, best = made
    arguments = evaluate.Arguments(run_dir, DataOverride(name), NoiseOverride("salt", 0.3), "best")
    found = evaluate.evaluate_run(arguments)
    assert (found["epoch"], found["params_digest"]) == (3, tree_digest(best))
    assert (found["data"]["name"], found["noise"]) == (name, "salt 0.3")
    assert found["test"].keys() == {f"{part}{name}" for part in ("", "noisy_") for name in ("mse", "psnr", "ssim")}


def test_the_latest_checkpoint_and_the_runs_noise_are_what_is_not_named(made, monkeypatch, capsys):
    run_dir, name, _ = made
    words = ["evaluate", str(run_dir), "--data.name", name]
    monkeypatch.setattr(sys, "argv", words)
    evaluate.main()
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.endswith("test images, noise gaussian 0.5, epoch 4:")
    assert "PSNR" in second
    assert third.startswith("  noisy input: MSE")
    monkeypatch.setattr(sys, "argv", [*words, "--json"])
    evaluate.main()
    assert json.loads(capsys.readouterr().out)["epoch"] == 4
