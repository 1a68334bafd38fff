"""A program that calls jaxae, such as a notebook, stays as it was: only commands set up their process."""

import logging
import os
import signal
import sys
import warnings

import jax
import matplotlib
import numpy as np

import jaxae.plot  # importing SciPy adds filters of warnings
from jaxae.config import Config, DataConfig, Launch
from jaxae.experiments import mnist_denoise, running
from jaxae.report import plots
from jaxae.runs import figures
from tests.small_run import write_run
from tests.training_run import make_images


def state():
    """What a process has one of."""
    return {
        "levels": [logging.getLogger(name).level for name in (None, "absl", "asyncio", "jax", "matplotlib")],
        "hooks": [sys.unraisablehook, sys.excepthook, warnings.showwarning],
        "filters": list(warnings.filters),
        "streams": [sys.stdout, sys.stderr],
        "signals": [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "variables": dict(os.environ),
        "place": [os.getcwd(), sys.path[:], sys.argv[:]],
        "matplotlib": dict(matplotlib.rcParams),
        "jax": {name: getattr(jax.config, name) for name in ("jax_platforms", "jax_compilation_cache_dir")},
    }


def test_a_call_of_the_library_leaves_the_process_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "module://no.such.backend")  # a notebook's, where its package is not installed
    monkeypatch.setitem(matplotlib.rcParams, "backend", "module://no.such.backend")
    before = state()
    make_images(tmp_path / "images")
    with monkeypatch.context() as untrained:
        untrained.setattr(running, "train_and_report", lambda *_: {})
        config = Config(DataConfig(f"folder:{tmp_path / 'images'}"))
        running.run_config(mnist_denoise.EXPERIMENT, config, Launch(run_dir=tmp_path / "new", devices=1))
    write_run(tmp_path / "run", "mnist")
    run = jaxae.load(tmp_path / "run")
    picture = np.zeros((30, 30), np.uint8)
    assert jaxae.plot.compare_pictures(picture, jaxae.denoise(picture, run)) is not None
    images = np.zeros((2, 8, 8, 1), np.float32)
    figures.save_figure(figures.image_rows({"input": images}), tmp_path / "rows.png")
    figures.save_figure(figures.curves([{"epoch": 1, "train_loss": 0.5, "mse": 0.5, "psnr": 3.0}]), tmp_path / "c.png")
    plots.line_plot("title", [plots.Series("a", [(1, 2)], 0)], "epoch")
    assert state() == before
    assert (tmp_path / "rows.png").stat().st_size > 1000 < (tmp_path / "c.png").stat().st_size
    assert run.epoch == 3
