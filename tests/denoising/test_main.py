"""Denoising pictures, as a function and as a command."""

import json
import zlib
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import tifffile
from PIL import Image

from jaxae import metrics
from jaxae.config import NoiseOverride, RangeOverride
from jaxae.data.pictures import png
from jaxae.data.pictures.picture import SPAN
from jaxae.denoising import __main__ as denoising
from jaxae.denoising import before_after
from jaxae.errors import UserError
from tests.process import command
from tests.small_run import write_run


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "cifar"
    write_run(run_dir, "cifar")
    return run_dir


@pytest.fixture
def photos(tmp_path):
    """A folder with three pictures of different sizes and kinds."""
    random = np.random.default_rng(0)
    for name, shape in (("a.png", (40, 50, 3)), ("sub/b.png", (13, 90)), ("c.png", (33, 20, 4))):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, shape, np.uint8)).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def ask(run_dir, *inputs, out, **options):
    return denoising.Arguments(run_dir, tuple(inputs), out, **options)


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_pictures_keep_their_names_sizes_and_alpha(run_dir, photos, tmp_path):
    before = {path: path.read_bytes() for path in photos.rglob("*.png")}
    result = denoising.denoise_files(ask(run_dir, photos, out=tmp_path / "out"))
    assert files(tmp_path / "out") == files(photos)
    for name in files(photos):
        with Image.open(photos / name) as source, Image.open(tmp_path / "out" / name) as restored:
            assert (source.size, source.mode) == (restored.size, restored.mode)
            assert source.tobytes() != restored.tobytes()
            if source.mode == "RGBA":
                assert source.getchannel("A").tobytes() == restored.getchannel("A").tobytes()
    assert before == {path: path.read_bytes() for path in photos.rglob("*.png")}
    assert (result["images"], result["failed"]) == (3, [])
    assert result["megapixels"] == pytest.approx((40 * 50 + 13 * 90 + 33 * 20) / 1e6)
    assert result["images_per_second"] > 0


def test_added_noise_is_measured_and_shown(run_dir, photos, tmp_path):
    options = {"add_noise": True, "noise": NoiseOverride(factor=0.2)}
    result = denoising.denoise_files(ask(run_dir, photos, out=tmp_path / "out", **options))
    assert result["noise"] == "gaussian 0.2"
    assert (tmp_path / "out" / denoising.FIGURE).read_bytes().startswith(b"\x89PNG")
    for row in result["pictures"]:
        with Image.open(row["input"]) as clean, Image.open(row["output"]) as restored:
            channels = 1 if clean.mode == "L" else 3
            values = [np.asarray(image).reshape(*row["shape"][:2], -1)[..., :channels] for image in (clean, restored)]
        error = np.mean(np.square(values[0] / 255 - values[1] / 255))
        assert row["psnr"] == pytest.approx(-10 * np.log10(error), abs=0.05)  # what is written has 8 bits
    assert result["means"]["noisy_psnr"] == pytest.approx(np.mean([row["noisy_psnr"] for row in result["pictures"]]))
    again = denoising.denoise_files(ask(run_dir, photos, out=tmp_path / "again", **options))
    assert again["pictures"][0]["psnr"] == result["pictures"][0]["psnr"]


def test_metrics_are_those_of_the_evaluation():
    clean, image = np.random.default_rng(0).random((2, 20, 30, 3), np.float32)
    measured = before_after.measure_picture(image, clean)
    for name, values in metrics.compute(jnp.asarray(image[None]), jnp.asarray(clean[None])).items():
        assert measured[name] == pytest.approx(float(values[0]), abs=1e-4)
    assert before_after.measure_picture(clean, clean)["psnr"] == 100
    small = before_after.measure_picture(image[:10], clean[:10])
    assert small.keys() == measured.keys() - {"ssim"}
    assert before_after.mean_measures([measured, small]).keys() == measured.keys()


def test_a_picture_too_small_for_a_metric_leaves_its_cell_empty(run_dir, tmp_path, capsys):
    for name, shape in (("large[1].png", (40, 50)), ("small.png", (9, 9))):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8)).save(tmp_path / name)
    inputs = tmp_path / "large[1].png", tmp_path / "small.png"
    result = denoising.denoise_files(ask(run_dir, *inputs, out=tmp_path / "out", add_noise=True))
    denoising.print_result(result, tmp_path / "out")
    printed = capsys.readouterr().out
    rows = {line.split()[1]: line for line in printed.splitlines() if "→" in line}
    assert {name: row.count("→") for name, row in rows.items()} == {"large[1].png": 3, "small.png": 2, "mean": 3}
    assert "PSNR [dB]" in printed


def test_bad_pictures_are_named_and_the_good_ones_are_done(run_dir, photos, tmp_path):
    (photos / "text.png").write_text("no picture")
    whole = (photos / "a.png").read_bytes()
    (photos / "half.png").write_bytes(whole[: len(whole) // 2])
    result = command("jaxae.denoising", run_dir, photos, "--out", tmp_path / "out", "--json")
    assert result.status == 2
    lines = sorted(result.err.strip().splitlines())
    assert [line.split(":")[:2] for line in lines] == [
        ["error", f" {photos / 'half.png'}"], ["error", f" {photos / 'text.png'}"]
    ]  # fmt: skip
    printed = json.loads(result.out)
    assert printed["images"] == 3
    assert {Path(failure["input"]).name for failure in printed["failed"]} == {"half.png", "text.png"}
    assert files(tmp_path / "out") == {"a.png", "sub/b.png", "c.png"}


def test_nothing_is_overwritten_unasked(run_dir, photos, tmp_path):
    out = tmp_path / "out"
    denoising.denoise_files(ask(run_dir, photos / "a.png", out=out))
    written = (out / "a.png").read_bytes()
    with pytest.raises(UserError, match=r"already there: .*a\.png; add --overwrite"):
        denoising.denoise_files(ask(run_dir, photos, out=out))
    assert files(out) == {"a.png"}
    denoising.denoise_files(ask(run_dir, photos, out=out, overwrite=True))
    assert (out / "a.png").read_bytes() == written
    with pytest.raises(UserError, match="is one of the inputs"):
        denoising.denoise_files(ask(run_dir, photos / "a.png", out=photos, overwrite=True))
    with pytest.raises(UserError, match="is one of the inputs"):
        denoising.denoise_files(ask(run_dir, photos, out=photos, overwrite=True))
    (tmp_path / "link").symlink_to(photos)
    with pytest.raises(UserError, match="is one of the inputs"):
        denoising.denoise_files(ask(run_dir, photos / "a.png", out=tmp_path / "link", overwrite=True))


def test_what_cannot_be_done_is_said_before_anything_is_written(run_dir, photos, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):  # which the command prints as a line
        denoising.denoise_files(ask(run_dir, photos, out=tmp_path / "file"))
    with pytest.raises(UserError, match="give --add-noise too"):
        denoising.denoise_files(ask(run_dir, photos, out=tmp_path / "out", noise=NoiseOverride(factor=0.1)))
    with pytest.raises(UserError, match="no run in"):
        denoising.denoise_files(ask(tmp_path / "nowhere", photos, out=tmp_path / "out"))
    (photos / "a.png").rename(photos / denoising.FIGURE)
    with pytest.raises(UserError, match="rename it"):
        denoising.denoise_files(ask(run_dir, photos, out=tmp_path / "out", add_noise=True))
    assert not files(tmp_path / "out")


def test_pages_are_denoised_one_by_one(run_dir, tmp_path):
    pages = np.random.default_rng(0).integers(0, 65536, (3, 20, 30), np.uint16)
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    Image.fromarray(pages[1]).save(tmp_path / "page.tif")
    options = {"data": RangeOverride("0,65535")}
    inputs = tmp_path / "stack.tif", tmp_path / "page.tif"
    result = denoising.denoise_files(ask(run_dir, *inputs, out=tmp_path / "out", **options))
    assert result["warnings"] == []
    assert [row.get("page") for row in result["pictures"]] == [0, 1, 2, None]
    with tifffile.TiffFile(tmp_path / "out" / "stack.tif") as file:
        assert len(file.pages) == 3
        alone = tifffile.imread(tmp_path / "out" / "page.tif")
        np.testing.assert_array_equal(file.pages[1].asarray(), alone)
        assert not np.array_equal(file.pages[0].asarray(), alone)
    with pytest.warns(UserWarning, match=SPAN):
        added = denoising.denoise_files(ask(run_dir, tmp_path / "stack.tif", out=tmp_path / "noise", add_noise=True))
    assert len({row["noisy_psnr"] for row in added["pictures"]}) == 3
    flat = np.full((2, 20, 30), 0.5, np.float32)
    tifffile.imwrite(tmp_path / "flat.tif", flat, photometric="minisblack")
    denoising.denoise_files(ask(run_dir, tmp_path / "flat.tif", out=tmp_path / "out"))
    values = tifffile.imread(tmp_path / "out" / "flat.tif")
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values[0], values[1])


def test_a_picture_that_cannot_be_written_stops_no_other(run_dir, photos, tmp_path, monkeypatch, capsys):
    plain = zlib.compress

    def compress(rows, level):
        if len(rows) == 13 * 91:  # the grey picture's
            raise RuntimeError("no such thing")
        return plain(rows, level)

    monkeypatch.setattr(png.zlib, "compress", compress)
    result = denoising.denoise_files(ask(run_dir, photos, out=tmp_path / "out"))
    place = tmp_path / "out" / "sub" / "b.png"
    reason = f"{place}: cannot be written: no such thing"
    assert result["failed"] == [{"input": str(photos / "sub" / "b.png"), "reason": reason}]
    assert capsys.readouterr().err == f"error: {reason}\n"
    assert files(tmp_path / "out") == {"a.png", "c.png"}


def test_what_a_person_should_know_is_said_once(run_dir, photos, tmp_path):
    for name in ("d.jpg", "e.jpg"):
        Image.new("RGB", (30, 20), (9, 99, 0)).save(photos / name)
        (photos / name).write_bytes((photos / name).read_bytes() + b"a video")
    (photos / "raw.NEF").touch()
    result = command("jaxae.denoising", run_dir, photos, "--out", tmp_path / "out", "--json")
    assert result.status == 0
    note = "not carried over: data behind the picture, such as the video of a motion photo"
    assert result.err.splitlines() == [
        f"warning: left out of {photos}, no pictures that can be read: 1 .nef",
        f"warning: {photos / 'd.jpg'} and 1 more: {note}",
    ]
    assert json.loads(result.out)["warnings"] == [
        {"inputs": [str(photos / "d.jpg"), str(photos / "e.jpg")], "note": note}
    ]
