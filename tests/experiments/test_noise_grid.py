"""The grid goes on where it was stopped, with what it was begun with."""

import pytest

from jaxae import files
from jaxae.config import Config, TrainConfig
from jaxae.errors import UserError
from jaxae.experiments import noise_grid
from jaxae.run import directory
from tests.small_run import write_run

METRICS = {"psnr": 20.0, "ssim": 0.9, "noisy_psnr": 9.0, "noisy_ssim": 0.1}
SUMMARY = {"test": METRICS, "data": {"name": "digits"}, "noise": "gaussian 0.5", "epochs": 3}


@pytest.fixture
def grid(tmp_path, monkeypatch):
    """`grid(**options)` trains one run of the grid; `grid.seen` holds what was given to each training."""
    seen = []

    def train(experiment, config, launch):
        seen.append((config, launch.resume))
        if not directory.is_run(launch.run_dir):
            write_run(launch.run_dir, "mnist")
        files.write_json(launch.run_dir / directory.SUMMARY, SUMMARY)

    monkeypatch.setattr(noise_grid.runner, "run", train)

    def run(**options):
        arguments = noise_grid.Arguments(run_dir=tmp_path / "runs", recipe="plain", **options)
        return noise_grid.run_one("mnist_denoise", "gaussian", "0.5", arguments)

    run.seen = seen
    return run


def test_what_is_finished_is_not_trained_again_and_what_is_not_goes_on(grid, tmp_path):
    run_dir, summary = grid()
    assert summary == SUMMARY
    grid()
    assert len(grid.seen) == 1
    (run_dir / directory.SUMMARY).unlink()
    grid()
    assert grid.seen[1] == (directory.load_config(run_dir), True)


def test_runs_of_another_recipe_or_other_epochs_are_not_taken_for_these(grid):
    run_dir, _ = grid()
    assert directory.load_config(run_dir).recipe == "plain"
    for missing in (False, True):
        if missing:
            (run_dir / directory.SUMMARY).unlink()
        with pytest.raises(UserError, match=r"was trained with --epochs 10, not 4: name another --run-dir"):
            grid(epochs=4)
    fast = Config(train=TrainConfig(3), recipe="fast")
    with pytest.raises(UserError, match=r"was trained with --recipe fast, not plain"):
        noise_grid.check_begun(run_dir, fast, noise_grid.Arguments(recipe="plain"))
