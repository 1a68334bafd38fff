"""The grid continues where it was stopped, with the options that it was begun with, and records them."""

import dataclasses
import sys

import pytest

from jaxae import files
from jaxae.config import TrainConfig
from jaxae.errors import UserError
from jaxae.experiments import noise_grid
from jaxae.experiments.noise_grid import EXPERIMENTS, GridConfig
from jaxae.runs import directory, group_record

TEST = {"psnr": 20.0, "ssim": 0.9, "noisy_psnr": 9.0, "noisy_ssim": 0.1}
SUMMARY = {"test": TEST, "data": {"name": "digits"}, "noise": "gaussian 0.5", "epochs": 3}


@pytest.fixture
def grid(tmp_path, monkeypatch):
    """`grid()` trains one run of the grid; `grid.seen` holds what was given to each training."""
    seen = []

    def train(experiment, config, launch):
        seen.append((experiment.name, config.noise.kind, config.recipe, launch.resume))
        (launch.run_dir / "figures").mkdir(parents=True, exist_ok=True)
        files.write_bytes(launch.run_dir / "figures" / "images.png", b"PNG")
        files.write_json(launch.run_dir / directory.SUMMARY, SUMMARY)

    def run():
        arguments = noise_grid.Arguments(GridConfig(recipe="plain"), run_dir=tmp_path / "runs")
        return noise_grid.run_one(EXPERIMENTS[0], "gaussian", "0.5", arguments)

    monkeypatch.setattr(noise_grid.running, "run_config", train)
    run.seen = seen
    return run


def test_finished_runs_are_kept_and_unfinished_ones_continue(grid):
    run_dir, summary = grid()
    assert summary == SUMMARY
    grid()
    assert grid.seen == [("mnist_denoise", "gaussian", "plain", True)]
    (run_dir / directory.SUMMARY).unlink()
    grid()
    assert len(grid.seen) == 2


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"test": {"psnr": 1}}', b'{"test": {"psnr": "x"}}', b"\xff"])
def test_a_damaged_summary_is_named(grid, content):
    run_dir, _ = grid()
    (run_dir / directory.SUMMARY).write_bytes(content)
    with pytest.raises(UserError, match=r"summary\.json .*delete it"):
        grid()


def test_a_grid_with_other_options_is_refused(tmp_path):
    path, begun = tmp_path / noise_grid.RECORD, GridConfig(TrainConfig(epochs=2))
    group_record.check_group(path, begun)
    files.write_json(path, dataclasses.asdict(begun))
    group_record.check_group(path, begun)
    for other, says in (
        (GridConfig(TrainConfig(epochs=4)), r"--train.epochs was 2, is 4; name another `run_dir`"),
        (GridConfig(), r"--train.epochs was 2, is None"),
        (GridConfig(TrainConfig(epochs=2), "plain"), r"--recipe was fast, is plain"),
    ):
        with pytest.raises(UserError, match=says):
            group_record.check_group(path, other)
    files.write_json(path, dataclasses.asdict(begun) | {"imports": ["mine"]})
    with pytest.raises(UserError, match=r"add --import mine$"):
        group_record.check_group(path, begun)
    path.write_text("[")
    with pytest.raises(UserError, match="cannot be read"):
        group_record.check_group(path, begun)
    path.unlink()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"grid.json cannot be read: .* name another"):
        group_record.check_group(path, begun)


def test_the_table_has_every_metric_and_the_options_that_were_used(grid, tmp_path, monkeypatch, capsys):
    options = ["--train.epochs", "2", "--run-dir", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["noise_grid", *options])
    noise_grid.main()
    assert len(grid.seen) == len(noise_grid.GRID) * len(EXPERIMENTS)
    text = (tmp_path / "out" / "README.md").read_text()
    assert "    python -m jaxae.experiments.noise_grid --train.epochs 2\n" in text
    assert "| data | noise | PSNR [dB] in | PSNR [dB] out | SSIM in | SSIM out | epochs |  |\n|---|---|---:|" in text
    assert (
        "| digits | gaussian 0.5 | 9.00 | 20.00 | 0.1000 | 0.9000 | 3 | [picture](mnist_denoise-gaussian-0.5.png) |"
        in text
    )
    assert (tmp_path / "out" / "cifar10_denoise-salt_and_pepper_gaussian-0.05_0.05.png").read_bytes() == b"PNG"
    assert "22 pictures" in capsys.readouterr().out
