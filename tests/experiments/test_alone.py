"""Runs on noisy images alone, where no clean ones are known."""

import json

import numpy as np
import pytest
from PIL import Image

from jaxae import noise
from jaxae.config import Config, DataConfig, Launch, NoiseConfig, TrainConfig
from jaxae.errors import UserError
from jaxae.experiments import mnist_denoise, running
from jaxae.training import resolve_objective
from tests.process import command, refused


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noisy")
    rng = np.random.default_rng(0)
    for number in range(30):
        smooth = np.kron(rng.uniform(0.2, 0.8, (4, 4)), np.ones((7, 7)))
        noisy = np.clip(smooth + rng.normal(0, 0.1, smooth.shape), 0, 1)
        Image.fromarray(np.uint8(255 * noisy)).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "run"
    config = Config(
        DataConfig(f"folder:{pictures}"),
        NoiseConfig("none"),
        TrainConfig(epochs=2, batch_size=8, target="self", backend="xla"),
    )
    return run_dir, running.run_config(mnist_denoise.EXPERIMENT, config, Launch(run_dir=run_dir, devices=1))


def test_no_metric_of_clean_images_is_reported(run):
    run_dir, summary = run
    assert summary["test"].keys() == {"loss"}
    assert summary["noise"] == "their own"
    for name in ("summary.json", "metrics.jsonl", "report.html"):
        text = (run_dir / name).read_text().lower()
        assert "psnr" not in text, name
        assert "loss" in text, name
    assert (run_dir / "figures" / "images.png").read_bytes().startswith(b"\x89PNG")
    assert (run_dir / "figures" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_it_is_evaluated_compared_and_used_like_any_run(run, pictures, tmp_path):
    run_dir, summary = run
    said = command("jaxae.evaluate", run_dir)
    assert said.status == 0, said.err
    assert f"self-supervised loss {summary['test']['loss']:.5f}" in said.out
    assert "psnr" not in said.out.lower()
    page = tmp_path / "page.html"
    assert command("jaxae.report", run_dir, run_dir, "--out", page).status == 0
    content = page.read_text()
    assert "2 runs compared" in content
    assert "psnr" not in content.lower()
    assert f"{summary['test']['loss']:.5f} ★" in content
    assert "Test self-supervised loss" in content
    assert command("jaxae.denoising", run_dir, pictures / "00.png", "--out", tmp_path / "out").status == 0
    assert "trained without clean images" in refused(command("jaxae.baselines", run_dir))


def test_a_run_that_is_resumed_ends_as_one_that_was_not_stopped_and_says_no_psnr(pictures, tmp_path):
    options = ("--data.name", f"folder:{pictures}", "--noise.kind", "none", "--train.target", "self")
    options += ("--train.batch-size", 8, "--train.backend", "xla")

    def train(name, *arguments):  # in processes of their own, which share their compiled programs
        run_dir = tmp_path / name
        said = command("jaxae.experiments.mnist_denoise", *arguments, "--run-dir", run_dir)
        assert said.status == 0, said.err
        assert "test: self-supervised loss" in said.out
        assert "psnr" not in (said.out + said.err).lower()
        return json.loads((run_dir / "summary.json").read_text())["params_digest"]

    whole = train("whole", *options, "--train.epochs", 2)
    assert train("stopped", *options, "--train.epochs", 1) != whole
    assert train("stopped", "--train.epochs", 2, "--resume") == whole


@pytest.mark.slow
def test_a_sweep_tells_the_loss_of_its_members(pictures, tmp_path):
    options = ("--data.name", f"folder:{pictures}", "--noise.kind", "none", "--train.target", "sure")
    options += ("--train.sigma", 0.1, "--train.batch-size", 8, "--train.backend", "xla", "--train.epochs", 1)
    said = command("jaxae.experiments.sweep", *options, "--seeds", 0, 1, "--run-dir", tmp_path / "sweep")
    assert said.status == 0, said.err
    assert "mean self-supervised loss" in (tmp_path / "sweep" / "table.md").read_text()
    assert "psnr" not in (said.out + said.err).lower()
    assert "psnr" not in (tmp_path / "sweep" / "comparison.html").read_text().lower()


def test_the_best_checkpoint_has_the_lowest_validation_loss(pictures, tmp_path):
    run_dir = tmp_path / "run"
    config = Config(
        DataConfig(f"folder:{pictures}", validation=0.3),
        NoiseConfig("none"),
        TrainConfig(epochs=4, batch_size=8, learning_rate=0.05, target="self", backend="xla"),
    )
    running.run_config(mnist_denoise.EXPERIMENT, config, Launch(run_dir=run_dir, devices=1))
    history = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    best = min(history, key=lambda record: record["validation_loss"])["epoch"]
    said = command("jaxae.evaluate", run_dir, "--checkpoint", "best", "--json")
    assert json.loads(said.out)["epoch"] == best


def test_known_noise_on_clean_images_is_measured_against_them(run):
    run_dir, _ = run
    settings = ("--data.name", "digits_small", "--noise.kind", "gaussian", "--noise.factor", "0.3")
    said = json.loads(command("jaxae.evaluate", run_dir, *settings, "--json").out)
    assert said["test"]["psnr"] > 0 < said["test"]["noisy_psnr"]


@pytest.mark.parametrize(
    ("train", "kind", "factor", "says"),
    [
        ({"target": "self"}, "salt", 0.1, "needs noise that keeps the mean"),
        ({"target": "sure"}, "uniform", 0.1, "take `target` self"),
        ({"target": "sure"}, "gaussian", "0.1..0.5", "of one known strength"),
        ({"target": "sure"}, "none", None, "needs `sigma`"),
        ({"target": "sure", "sigma": 0.1}, "gaussian", 0.1, "omit it"),
        ({"target": "self", "sigma": 0.1}, "none", None, "omit it"),
        ({"target": "sure", "precision": "bfloat16"}, "gaussian", 0.1, "`precision` float32"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(train, kind, factor, says):
    added, precision = noise.parse(kind, factor), train.get("precision", "float32")
    with pytest.raises(UserError, match=says):
        resolve_objective(train["target"], train.get("sigma"), added, has_pairs=False, precision=precision)


def test_a_sigma_of_bytes_is_refused_with_what_it_is():
    with pytest.raises(UserError, match=r"`sigma` 25: .* divided by 255 it is 0.098"):
        TrainConfig(target="sure", sigma=25.0)
