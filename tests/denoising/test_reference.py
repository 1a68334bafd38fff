"""Restored pictures beside clean ones that the user has."""

import json

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from jaxae.denoising import __main__ as denoising
from jaxae.errors import UserError
from tests.process import command
from tests.small_run import write_run


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "cifar"
    write_run(run_dir, "cifar", backend="xla")
    return run_dir


@pytest.fixture
def both(tmp_path):
    """Three noisy pictures, one of them in a folder, and their clean ones."""
    random = np.random.default_rng(0)
    for name, shape in (("1", (40, 50, 3)), ("sub/2", (30, 60, 3)), ("3", (33, 20, 3))):
        clean = random.integers(0, 256, shape, np.uint8)
        for side, pixels in (("clean", clean), ("noisy", np.clip(clean + random.normal(0, 20, shape), 0, 255))):
            place = tmp_path / side / f"{name}_{side}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.uint8(pixels)).save(place)
    return tmp_path


def ask(run_dir, both, *inputs, **options):
    inputs = inputs or (both / "noisy",)
    return denoising.denoise_files(denoising.Arguments(run_dir, inputs, both / "out", **options))


def test_each_picture_is_measured_against_its_clean_one(run_dir, both):
    result = ask(run_dir, both, reference=both / "clean")
    assert [len(result["pictures"]), result["reference"]] == [3, str(both / "clean")]
    for row in result["pictures"]:
        name = row["input"].removeprefix(f"{both / 'noisy'}/")
        clean, noisy, restored = (
            np.asarray(Image.open(path))
            for path in (both / "clean" / name.replace("noisy", "clean"), row["input"], row["output"])
        )
        assert row["noisy_psnr"] == pytest.approx(peak_signal_noise_ratio(clean, noisy), abs=1e-3)
        assert row["psnr"] == pytest.approx(peak_signal_noise_ratio(clean, restored), abs=0.05)  # rounded to bytes
    assert (both / "out" / "before-after.png").exists()


def test_a_single_picture_takes_a_single_reference(run_dir, both):
    result = ask(run_dir, both, both / "noisy" / "1_noisy.png", reference=both / "clean" / "1_clean.png")
    assert result["means"]["psnr"] == result["pictures"][0]["psnr"]


def test_what_has_no_reference_is_named_and_done_and_what_does_not_fit_fails_alone(run_dir, both):
    (both / "clean" / "3_clean.png").unlink()
    Image.new("RGB", (10, 10)).save(both / "clean" / "sub" / "2_clean.png")
    done = command(
        "jaxae.denoising", run_dir, both / "noisy", "--reference", both / "clean", "--out", both / "out", "--json"
    )
    assert done.status == 2
    assert "without a clean picture of the same name" in done.err
    assert "3_noisy.png" in done.err
    assert "2_clean.png: the reference is 10×10×3 (height, width, channels), and its picture 30×60×3" in done.err
    result = json.loads(done.out)
    assert [("psnr" in row) for row in result["pictures"]] == [True, False]
    assert len(result["failed"]) == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"reference": "none"}, "there is no folder .*none"),
        ({"reference": "clean/1_clean.png"}, "one picture for 3 inputs: name a folder"),
        ({"reference": "empty"}, "empty holds no picture"),
        ({"reference": "clean", "add_noise": True}, "omit one of the two"),
        ({"reference": "other"}, "no noisy file has a clean one of the same name"),
    ],
)
def test_what_is_no_reference_is_refused_before_anything_is_done(run_dir, both, options, says):
    (both / "empty").mkdir()
    (both / "other").mkdir()
    Image.new("RGB", (9, 9)).save(both / "other" / "x.png")
    with pytest.raises(UserError, match=says):
        ask(run_dir, both, **options | {"reference": both / options["reference"]})
    assert not (both / "out").exists()
