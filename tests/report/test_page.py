"""The page of a run: what it holds, and that nothing in it can become markup."""

import fnmatch
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tyro
from PIL import Image

from jaxae import noise, report
from jaxae.config import Config, DataConfig, NoiseConfig, TrainConfig
from jaxae.errors import UserError
from jaxae.report import examples, markup
from jaxae.report.__main__ import main
from jaxae.report.run import reproduce
from jaxae.run import directory, scores
from tests.made_run import EVIL, Page, made
from tests.process import command, refused

LIMIT = 3_000_000  # bytes


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The directory of a real run on a folder of pictures; both have names that are HTML."""
    place = tmp_path_factory.mktemp("report")
    folder, rng = place / EVIL, np.random.default_rng(0)
    folder.mkdir()
    for number in range(60):
        corner = rng.integers(4, 20, 2)
        pixels = np.zeros((28, 28), np.uint8)
        pixels[corner[0] : corner[0] + 6, corner[1] : corner[1] + 6] = 255
        Image.fromarray(pixels).save(folder / f"{number}.png")
    run_dir = place / f"run {EVIL}"
    result = command(
        "jaxae.experiments.mnist_denoise", "--data.name", f"folder:{folder}", "--train.epochs", 2,
        "--train.batch-size", 8, "--train.ops", "xla", "--run-dir", run_dir,
    )  # fmt: skip
    assert result.status == 0, result.err
    assert "report.html" in result.out
    assert "warning" not in result.err
    return run_dir


def test_text_stays_text():
    content = markup.document(EVIL, markup.element("p", EVIL, title=EVIL), [None, "a", ["b"]])
    page = Page(content)
    assert page.all("img") == []
    assert {"title": EVIL} in page.all("p")
    assert page.text.count(EVIL) == 2
    assert b"<!doctype html>" in content
    assert len(Page(markup.document("\udcff</script><script>alert(1)")).all("script")) == 1


def test_a_run_ends_with_its_page_and_names_are_harmless(trained):
    content = (trained / report.REPORT).read_bytes()
    page = Page(content)
    assert len(content) < LIMIT
    assert EVIL in page.text
    assert not [image for image in page.all("img") if not image["src"].startswith("data:image/png;base64,")]
    assert not [(tag, name) for tag, attributes in page.tags for name in attributes if name.startswith("on")]
    assert all(image["alt"] for image in page.all("img"))
    assert len(page.all("script")) == 1
    assert re.search(rb"https?:", content) is None


def test_the_page_shows_the_figures_and_the_worst_and_best_images():
    run = made()
    page = Page(report.page(run))
    assert "19.10 dBnoisy input 9.55 dB" in page.text
    clean = [
        int(image["alt"].split()[-1]) for image in page.all("img") if re.fullmatch(r"test image \d+", image["alt"])
    ]
    order = [int(number) for number in np.argsort(run.scores.psnr, kind="stable")]
    assert clean == [*range(12), *order[:6], *order[::-1][:6]]
    assert reproduce(run.config) in page.text


def test_embedded_images_are_said_to_be_so():
    reason = "there is no <network>"
    page = Page(report.page(made(data={"name": "digits", "reason": reason})))
    assert reason in page.text
    assert [tag for tag, attributes in page.tags if attributes.get("class") == "notice"] == ["p"]


def test_a_page_of_large_incompressible_images_is_small():
    content = report.page(made(shape=(96, 80, 3), epochs=1, count=6))
    assert len(content) < LIMIT
    assert {image["width"] for image in Page(content).all("img")} == {str(examples.VIEW)}


def test_without_noise_there_is_no_slider():
    page = Page(report.page(made(kind="none", count=3)))
    assert page.all("input") == []
    assert not [image for image in page.all("img") if "with" in image["alt"]]


def test_examples_are_scored_like_every_other_test():
    run = made(kind="salt_and_pepper")
    indices = np.array([7, 3, 39])
    shown = examples.restore(run, indices, run.test.noise)
    restored = scores.score(run.model, run.params, run.test).psnr[indices]
    np.testing.assert_allclose(shown.psnr, restored, rtol=1e-5)
    noisy = scores.score(None, {}, run.test).psnr[indices]
    np.testing.assert_allclose(shown.noisy_psnr, noisy, rtol=1e-5)
    np.testing.assert_array_equal(shown.clean, run.test.images[indices])
    assert shown.restored.shape == (3, 28, 28, 1)


@pytest.mark.parametrize("kind", [*noise.KINDS, "salt_and_pepper,gaussian"])
def test_the_slider_goes_from_weaker_to_stronger_noise(kind):
    own = noise.parse(kind)
    levels = [examples.stronger(own, multiple) for multiple in examples.MULTIPLES]
    assert noise.describe(levels[len(levels) // 2]) == noise.describe(own)
    images = jnp.full((8, 28, 28, 1), 0.5)
    every_level = jax.tree.map(lambda *leaves: jnp.stack(leaves), *levels)
    noisy = jax.jit(jax.vmap(lambda level: level(jax.random.key(0), images)))(every_level)
    errors = np.mean((np.asarray(noisy) - 0.5) ** 2, axis=(1, 2, 3, 4))
    assert list(errors) == sorted(errors)


def test_the_command_to_reproduce_a_run_gives_its_configuration():
    config = Config(
        DataConfig(name="folder:a b'c", limit=7),
        NoiseConfig(kind="salt,gaussian", factor="0.1,0.2..0.3", clip=True),
        TrainConfig(epochs=3, batch_size=4, learning_rate=0.5, target="noisy", ops="xla", precision="bfloat16"),
        recipe="fast",
        model="cifar",
        seed=9,
    )
    words = shlex.split(reproduce(config))
    assert words[:3] == ["python", "-m", "jaxae.experiments.cifar10_denoise"]
    assert tyro.cli(Config, args=words[3:]) == config


def test_a_page_that_fails_does_not_lose_the_run(tmp_path, capsys):
    run = made()._replace(summary={})
    report.write_or_warn(tmp_path / "page.html", report.page, run)
    assert f"python -m jaxae.report run --out {tmp_path / 'page.html'} tries again" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_comparison_marks_the_best_and_names_the_differences():
    weaker = made("one", test={"psnr": 10.0, "ssim": 0.5, "mse": 0.1})
    better = made(EVIL, test={"psnr": 11.0, "ssim": 0.6, "mse": 0.09})
    better = better._replace(config=Config(**vars(better.config) | {"seed": 5}))
    other = made("other", kind="salt", test={"psnr": 99.0, "ssim": 0.9, "mse": 0.0})
    content = report.comparison(weaker, better, other)
    page = Page(content)
    assert [text for text in re.findall(r"[\d.]+ ★", page.text)] == ["11.00 ★", "0.6000 ★", "0.09000 ★"]
    assert "--seed" in page.text
    assert "--recipe" not in page.text
    assert EVIL in page.text
    restored = [image["alt"] for image in page.all("img") if image["alt"].startswith("test image 0 restored")]
    assert restored == [f"test image 0 restored by run {number}" for number in (1, 2, 3)]


@pytest.mark.slow
def test_old_runs_are_reported_and_compared(trained, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for run_dir in (one, two):
        shutil.copytree(trained, run_dir)
        (run_dir / report.REPORT).unlink()
    (two / directory.SUMMARY).unlink()  # stopped before its end
    result = command("jaxae.report", one, two, "--out", tmp_path / "both.html")
    assert result.status == 0, result.err
    tile = re.compile(r"Test PSNR([\d.]+ dB)")
    old, new, stopped = (Page((place / report.REPORT).read_bytes()).text for place in (trained, one, two))
    assert tile.search(old).group(1) == tile.search(new).group(1) == tile.search(stopped).group(1)
    assert "All have the same configuration" in Page((tmp_path / "both.html").read_bytes()).text


def test_what_cannot_be_reported_is_one_line(tmp_path, monkeypatch):
    assert "no such directory" in refused(command("jaxae.report", tmp_path / "nowhere"))
    for arguments, message in [([], "no run is named"), ([tmp_path, "--out", tmp_path / "no" / "a"], "no directory")]:
        monkeypatch.setattr("sys.argv", ["report", *map(str, arguments)])
        with pytest.raises(UserError, match=message):
            main()


def test_what_the_page_is_made_of_is_installed_with_the_package():
    root = Path(report.__file__).parent
    patterns = tomllib.loads((root.parent.parent / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    others = [path.name for path in root.iterdir() if path.is_file() and path.suffix != ".py"]
    assert others
    for name in others:
        assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns["jaxae.report"]), name
