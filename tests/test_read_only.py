"""Runs that one may not write, in places with odd names, moved and linked: all that only reads them works."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jaxae import embed, evaluate, export
from jaxae.baselines import __main__ as baselines
from jaxae.denoising import __main__ as denoise
from jaxae.report import __main__ as report
from tests.small_run import write_run
from tests.training_run import make_images


@pytest.fixture
def run_dir(tmp_path):
    """A run in a read-only place, behind a link, with spaces and other scripts in its name."""
    home = tmp_path / "läuft später 試験"
    write_run(home / "run", "mnist", backend="xla")
    place = tmp_path / "kept"
    place.mkdir()
    if os.geteuid() or subprocess.run(["mount", "--bind", home, place]).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", place], check=True)
        (tmp_path / "link").symlink_to(place)
        with pytest.raises(OSError, match="Read-only"):
            (place / "file").touch()
        yield tmp_path / "link" / "run"
    finally:
        subprocess.run(["umount", place], check=True)


def options(tmp_path):
    """Few pictures as a data set."""
    make_images(tmp_path / "images")
    return ("--data.name", f"folder:{tmp_path / 'images'}")


def run(monkeypatch, main, *arguments):
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    main()


@pytest.mark.slow
def test_what_only_reads_a_run_works(run_dir, tmp_path, monkeypatch):
    pictures, out, data = tmp_path / "pictures", tmp_path / "out", options(tmp_path)
    pictures.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40), np.uint8)).save(pictures / "a.png")
    out.mkdir()
    for main, arguments, made in (
        (evaluate.main, data, None),
        (report.main, (*data, "--out", out / "report.html"), "report.html"),
        (denoise.main, (pictures, "--out", out / "clean"), "clean/a.png"),
        (export.main, (out / "network.onnx",), "network.onnx"),
        (embed.main, (*data, "--out", out / "codes"), "codes/figures"),
        (baselines.main, (*data, "--images", 2, "--tune-images", 2, "--out", out / "filters"), "filters/figures"),
    ):
        run(monkeypatch, main, run_dir, *arguments)
        assert made is None or (out / made).stat().st_size > 0
