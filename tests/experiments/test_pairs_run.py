"""Whole runs on pairs of noisy and clean pictures."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from jaxae.config import Config, DataConfig, Launch, NoiseConfig, TrainConfig
from jaxae.errors import UserError
from jaxae.experiments import cifar10_denoise, resolving, running
from tests.process import command


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Smooth pictures, and the same with stripes across them."""
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    for number in range(24):
        clean = np.kron(rng.uniform(0.2, 0.8, (6, 6, 3)), np.ones((8, 8, 1)))
        stripes = 0.15 * np.sign(np.sin(np.arange(48) * 1.3 + number))[:, None, None]
        for name, values in (("clean", clean), ("noisy", clean + stripes)):
            (folder / name).mkdir(exist_ok=True)
            Image.fromarray(np.uint8(255 * np.clip(values, 0, 1))).save(folder / name / f"{name}_{number}.png")
    return folder


def config(folder, **train):
    settings = TrainConfig(**{"epochs": 2, "batch_size": 16, "learning_rate": 0.01, "backend": "xla"} | train)
    return Config(DataConfig(f"pairs:{folder / 'noisy'},{folder / 'clean'}"), train=settings)


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "run"
    return run_dir, running.run_config(cifar10_denoise.EXPERIMENT, config(pictures), Launch(run_dir=run_dir, devices=1))


def test_the_noise_is_the_pictures_own(run):
    run_dir, summary = run
    assert summary["noise"] == "their own"
    assert json.loads((run_dir / "config.json").read_text())["noise"]["kind"] == "none"
    expected = -10 * np.log10(0.15**2)
    assert summary["test"]["noisy_psnr"] == pytest.approx(expected, abs=0.3)
    page = (run_dir / "report.html").read_text()
    assert "its own noise" in page
    assert "From top to bottom: clean, noisy, restored" in page


def test_a_network_learns_from_them(pictures, tmp_path):
    longer = running.run_config(
        cifar10_denoise.EXPERIMENT, config(pictures, epochs=15), Launch(run_dir=tmp_path / "run", devices=1)
    )
    assert longer["test"]["psnr"] > longer["test"]["noisy_psnr"] + 1


def test_commands_take_such_a_run(run, tmp_path):
    run_dir, summary = run
    evaluated = json.loads(command("jaxae.evaluate", run_dir, "--json").out)
    # another process has another share of the cores, so its sums may differ by a rounding
    assert evaluated["test"] == pytest.approx(summary["test"], rel=1e-6)
    compared = command("jaxae.baselines", run_dir, "--images", 4, "--tune-images", 2, "--out", tmp_path / "b", "--json")
    assert compared.status == 0, compared.err
    assert json.loads(compared.out)[0]["rows"]["noisy input"]["psnr"] == pytest.approx(16.5, abs=1)
    assert command("jaxae.embed", run_dir, "--out", tmp_path / "codes").status == 0


def test_pairs_that_have_moved_are_resumed(run, pictures, tmp_path):
    moved, copy = shutil.copytree(pictures, tmp_path / "moved"), shutil.copytree(run[0], tmp_path / "run")
    settings = config(moved, epochs=3)
    done = running.run_config(cifar10_denoise.EXPERIMENT, settings, Launch(run_dir=copy, resume=True, devices=1))
    assert done["epochs"] == 3


def test_noise_is_added_only_where_it_is_asked_for(pictures, tmp_path):
    def kinds(noise, name):
        made = resolving.resolve(
            cifar10_denoise.EXPERIMENT,
            Config(config(pictures).data, noise, config(pictures).train),
            Launch(run_dir=tmp_path / name),
        )
        return made.test.noise.kinds

    assert kinds(NoiseConfig(), "none") == ()
    assert kinds(NoiseConfig("salt", 0.2), "salt") == ("salt",)


@pytest.mark.parametrize("target", ["noisy", "self", "sure"])
def test_other_targets_are_refused(pictures, tmp_path, target):
    with pytest.raises(UserError, match=f"`target` {target}: pairs have clean images"):
        resolving.resolve(
            cifar10_denoise.EXPERIMENT, config(pictures, target=target), Launch(run_dir=tmp_path / "run", devices=1)
        )


def test_pairs_that_are_none_are_refused(pictures, tmp_path):
    place = shutil.copytree(pictures, tmp_path / "odd")
    for picture in (place / "noisy").iterdir():
        Image.new("RGB", (50, 40)).save(picture)
    words = ("--data.name", f"pairs:{place / 'noisy'},{place / 'clean'}", "--run-dir", tmp_path / "run")
    result = command("jaxae.experiments.cifar10_denoise", *words)
    assert result.status == 2
    assert "noisy_0.png is 50×40 pixels and" in result.err
    assert result.err.strip().splitlines()[-1].startswith("error: ")
    assert not (tmp_path / "run").exists()
