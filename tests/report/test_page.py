"""The reports of runs: what they hold, and that no text becomes markup."""

import dataclasses
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

from jaxae import command as jaxae_command
from jaxae import metrics, noise, report
from jaxae.config import Config, DataConfig, DataOverride, NoiseConfig, TrainConfig
from jaxae.errors import UserError
from jaxae.report import examples, page
from jaxae.report.__main__ import main
from jaxae.report.comparison import _gallery
from jaxae.report.page import _curves, _extremes, _noise_curves
from jaxae.report.plots import line_plot
from jaxae.report.tested_run import merge_summary, reproducing_command
from jaxae.runs import directory, scores
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
        "--train.batch-size", 8, "--train.backend", "xla", "--run-dir", run_dir,
    )  # fmt: skip
    assert result.status == 0, result.err
    assert "report.html" in result.out
    assert "warning" not in result.err
    return run_dir


def test_text_stays_text():
    name = "\udcff</title></script><script>alert(1)" + EVIL
    facts = {"name": name, "reason": name, "test_size": 40}
    run = made(name, data=facts, noise=name, command=name, experiment=name, versions={name: name})
    run = run._replace(config=dataclasses.replace(run.config, data=DataConfig(name)))
    run = run._replace(test=run.test._replace(name=name))
    for content, count in ((report.run_page(run), 12), (report.comparison_page(run, run), 20)):
        page = Page(content)
        assert content.startswith(b"<!doctype html>")
        assert page.text.count(name.replace("\udcff", "?")) >= count
        assert len(page.all("script")) == len(page.all("title")) - len(page.all("use")) == 1
        assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))


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


def test_the_page_shows_the_metrics_and_the_worst_and_best_images():
    run = made()
    shown = Page(report.run_page(run))
    words = " ".join(shown.text.split())
    assert "Test PSNR 19.10 dB noisy input 9.55 dB" in words
    assert "mean PSNR of 40 test images" in words
    clean = [
        int(image["alt"].split()[-1]) for image in shown.all("img") if re.fullmatch(r"test image \d+", image["alt"])
    ]
    order = [int(number) for number in np.argsort(run.scores.values["psnr"], kind="stable")]
    assert clean == [*range(12), *order[:6], *order[::-1][:6]]
    levels = {f"test image 0 with gaussian {0.5 * multiple:g}" for multiple in examples.MULTIPLES}
    assert levels <= {image["alt"] for image in shown.all("img")}
    titles = [words.index(f" {title} ", words.index("Worst and best")) for title in ("Worst", "Best")]
    assert titles == sorted(titles)
    assert reproducing_command(run.config) in shown.text


def test_the_worst_images_have_the_lowest_values():
    run = made(count=20)
    values = run.scores.values["psnr"]
    found = {
        title: [int(image[0].alt.split()[-1]) for image in shown.images] for title, shown in _extremes(run).items()
    }
    order = np.argsort(values, kind="stable").tolist()
    assert found == {"Worst": order[:6], "Best": order[::-1][:6]}


def test_the_plots_show_what_their_titles_say(monkeypatch):
    logarithmic = {}

    def plot(title, series, x_label, log=False):
        logarithmic[title] = log
        return line_plot(title, series, x_label, log)

    monkeypatch.setattr(page, "line_plot", plot)
    run = made(kind="gaussian", count=6)
    history = [record | {"validation_psnr": 5.0} for record in run.history]
    plots = {plot.title: plot for plot in _curves(run._replace(history=history))}
    shown = {title: {line.label: line.points[0][1] for line in plot.series} for title, plot in plots.items()}
    assert shown == {"MSE": {"train": 0.1, "test": 0.05}, "PSNR [dB]": {"test": 10.0, "validation": 5.0}}
    assert logarithmic == {"MSE": True, "PSNR [dB]": False}
    indices = np.arange(6)
    levels = [examples.restore_examples(run, indices, noise.parse("gaussian", factor)) for factor in (0.1, 0.5)]
    [plot] = _noise_curves(run, [levels[0]] * 6 + [levels[1]])
    noisy, restored = (dict(line.points) for line in plot.series)
    for at, level in ((0.25, levels[0]), (2.0, levels[1])):
        assert noisy[at] == pytest.approx(np.mean(level.noisy_values))
        assert restored[at] == pytest.approx(np.mean(level.values))
    assert noisy[0.25] > noisy[2.0]


def test_a_range_of_strengths_is_shown_at_its_middle_and_clipped_noise_stays_so():
    scaled = examples.scale_noise(noise.parse("gaussian,salt,poisson", "0.1..0.5,0.5,20", clip=True), 2.0)
    assert noise.describe(scaled) == "gaussian 0.6 + salt 0.75 + poisson 10, clipped"


def test_a_new_metric_appears_by_itself(monkeypatch):
    nrmse = metrics.Metric("nrmse", "NRMSE", None, "%", 1, False)
    monkeypatch.setitem(metrics.METRICS, "nrmse", nrmse)
    run = made(test={"mse": 0.01, "psnr": 19.1, "nrmse": 12.3, "noisy_nrmse": 45.6})
    run = run._replace(history=[record | {"nrmse": 12.3, "validation_nrmse": 13.0} for record in run.history])
    words = " ".join(Page(report.run_page(run)).text.split())
    assert "Test NRMSE 12.3 % noisy input 45.6 %" in words
    assert "NRMSE [%] test validation" in words
    words = " ".join(Page(report.comparison_page(run, run)).text.split())
    assert "run MSE PSNR NRMSE data" in words
    assert "19.10 dB ★ 12.3 % ★" in words


def test_without_clean_images_there_is_nothing_but_the_loss():
    run = made(kind="none", test={"loss": -0.25})
    losses = scores.Scores({"loss": np.zeros(40, np.float32)})
    history = [{"epoch": 1, "train_loss": -0.1, "loss": -0.25}]
    run = run._replace(scores=losses, history=history)
    for content in (report.run_page(run), report.comparison_page(run, run)):
        page = Page(content)
        assert "-0.25000" in page.text
        assert "psnr" not in content.decode().lower()
        assert "From top to bottom: noisy, restored" in page.text


@pytest.mark.parametrize("health", [{}, {"outputs_collapsed": False, "dead_units": 0, "units": 9}])
def test_a_healthy_run_has_no_notices(health):
    assert b'class="notice"' not in report.run_page(made(health=health))


def test_dead_units_and_collapsed_outputs_are_named_with_a_remedy():
    health = {"outputs_spread": 0.012, "outputs_collapsed": True, "units": 160, "dead_units": 28}
    words = " ".join(Page(report.run_page(made(health=health))).text.split())
    assert "28 of 160 convolution filters output zero for every test image" in words
    assert "their spread is 1.2% of that of the images" in words
    assert words.count("Try another seed, a lower learning rate, or LSUV initialization.") == 2


def test_embedded_images_are_said_to_be_so():
    reason = "there is no <network>"
    page = Page(report.run_page(made(data={"name": "digits", "reason": reason, "test_size": 40})))
    assert reason in page.text
    assert [tag for tag, attributes in page.tags if attributes.get("class") == "notice"] == ["p"]


def test_a_page_of_large_incompressible_images_is_small():
    run = made(shape=(96, 80, 3), epochs=1, count=6)
    content = report.run_page(run)
    assert len(content) < LIMIT
    [shown] = examples.restore_examples(run, np.array([2]), run.test.noise).images
    np.testing.assert_array_equal(shown[0].pixels, run.test.images.clean[2, 16:80, 8:72])
    assert {image["width"] for image in Page(content).all("img")} == {str(examples.VIEW)}


def test_without_noise_there_is_no_slider():
    page = Page(report.run_page(made(kind="none", count=3)))
    assert page.all("input") == []
    assert not [image for image in page.all("img") if "with" in image["alt"]]


def test_examples_are_scored_like_every_other_test():
    run = made(kind="gaussian")
    indices = np.array([7, 3, 39])
    shown = examples.restore_examples(run, indices, run.test.noise)
    restored = scores.score(run.model, run.params, run.test).values["psnr"][indices]
    np.testing.assert_allclose(shown.values, restored, rtol=1e-5)
    noisy = scores.score(None, {}, run.test).values["psnr"][indices]
    np.testing.assert_allclose(shown.noisy_values, noisy, rtol=1e-5)
    for index, (clean, *_, restored) in zip(indices, shown.images, strict=True):
        np.testing.assert_array_equal(clean.pixels, run.test.images.clean[index])
        assert restored.pixels.shape == (28, 28, 1)


@pytest.mark.parametrize("kind", [*noise.KINDS, "salt_and_pepper,gaussian"])
def test_the_slider_goes_from_weaker_to_stronger_noise(kind):
    own = noise.parse(kind)
    levels = [examples.scale_noise(own, multiple) for multiple in examples.MULTIPLES]
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
        TrainConfig(epochs=3, batch_size=4, learning_rate=0.5, target="noisy", backend="xla", precision="bfloat16"),
        recipe="fast",
        network="cifar",
        seed=9,
    )
    words = shlex.split(reproducing_command(config))
    assert words[:3] == ["python", "-m", "jaxae.experiments.mnist_denoise"]
    assert tyro.cli(Config, args=words[3:]) == config


def test_a_page_that_fails_does_not_lose_the_run(tmp_path, capsys):
    run = made()._replace(summary={})
    report.write_or_warn(tmp_path / "page.html", report.run_page, run)
    assert f"retry with: python -m jaxae.report run --out {tmp_path / 'page.html'}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_comparison_marks_the_best_and_names_the_differences():
    weaker = made("one", test={"psnr": 10.0, "ssim": 0.5, "mse": 0.1})
    better = made(EVIL, test={"psnr": 11.0, "ssim": 0.6, "mse": 0.09})
    better = better._replace(config=Config(**vars(better.config) | {"seed": 5}))
    other = made("other", kind="salt", test={"psnr": 99.0, "ssim": 0.9, "mse": 0.0})
    content = report.comparison_page(weaker, better, other)
    page = Page(content)
    assert [text for text in re.findall(r"[\d.]+ ★", page.text)] == ["0.09000 ★", "0.6000 ★"]
    assert "11.00 dB ★" in page.text
    assert "99.00 dB ★" not in page.text
    assert "★ marks the best" in page.text
    assert "--seed" in page.text
    assert "--recipe" not in page.text
    assert EVIL in page.text
    restored = [image["alt"] for image in page.all("img") if image["alt"].startswith("test image 0 restored")]
    assert restored == [f"test image 0 restored by run {number}" for number in (1, 2, 3)]


def test_a_gallery_shows_the_output_of_each_run_with_the_noise_of_the_first_that_has_any():
    runs = [made("one", kind="none", count=3), made("two", count=3)]
    changed = jax.tree.map(jnp.negative, runs[1].params)
    runs.append(runs[1]._replace(name="three", params=changed))
    shown = _gallery(list(enumerate(runs, 1)))["examples"]
    assert shown.noise == "gaussian 0.5"
    _, noisy, *outputs = shown.images[0]
    assert noisy.alt == "test image 0 with gaussian 0.5"
    for number, (run, output) in enumerate(zip(runs, outputs, strict=True), 1):
        alone = examples.restore_examples(run, np.arange(3), runs[1].test.noise)
        assert output.alt == f"test image 0 restored by run {number}"
        np.testing.assert_array_equal(output.pixels, alone.images[0][-1].pixels)
    assert (outputs[1].pixels != outputs[2].pixels).any()


def test_runs_that_do_not_compare_have_no_best_and_no_legend_for_it():
    page = Page(report.comparison_page(made("one"), made("other", kind="salt")))
    assert "★" not in page.text


def test_a_fresh_test_wins_over_a_stored_summary():
    tested = {"test": {"psnr": 20.0}, "data": {"name": "mnist", "test_size": 40}, "device": {"kind": "here"}}
    stored = {
        "test": {"psnr": 1.0, "noisy_psnr": 0.5},
        "data": {"name": "mnist", "test_size": 7, "train_size": 100},
        "device": {"kind": "there"},
        "command": "python",
    }
    merged = merge_summary(stored, tested)
    data = {"name": "mnist", "test_size": 40, "train_size": 100}
    assert merged == {"test": {"psnr": 20.0}, "data": data, "device": {"kind": "there"}, "command": "python"}
    elsewhere = tested | {"data": {"name": "digits", "test_size": 40}}
    assert merge_summary(stored, elsewhere)["data"] == elsewhere["data"]
    assert merge_summary({}, tested) == tested


@pytest.mark.slow
def test_old_runs_are_reported_and_compared(trained, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for run_dir in (one, two):
        shutil.copytree(trained, run_dir)
        (run_dir / report.REPORT).unlink()
    (two / directory.SUMMARY).unlink()  # stopped before its end
    result = command("jaxae.report", one, two, "--out", tmp_path / "both.html")
    assert result.status == 0, result.err
    card = re.compile(r"Test PSNR\s+([\d.]+ dB)")
    old, new, stopped = (Page((place / report.REPORT).read_bytes()).text for place in (trained, one, two))
    assert card.search(old).group(1) == card.search(new).group(1) == card.search(stopped).group(1)
    assert "All runs have the same configuration" in Page((tmp_path / "both.html").read_bytes()).text


def test_the_command_writes_the_pages_that_it_is_asked_for(monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(jaxae_command, "enable_compilation_cache", lambda: None)
    monkeypatch.setattr(report, "load_tested_run", lambda *arguments: opened.append(arguments) or arguments[0].name)
    monkeypatch.setattr(report, "run_page", lambda run: f"page of {run}".encode())
    monkeypatch.setattr(report, "comparison_page", lambda *runs: " and ".join(runs).encode())

    def written(*arguments):
        monkeypatch.setattr("sys.argv", ["report", *map(str, arguments)])
        main()
        pages = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*.html")}
        for path in pages:
            (tmp_path / path).unlink()
        return pages

    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    assert written(one) == {"one/report.html": "page of one"}
    assert written(one, "--out", tmp_path / "a.html", "--data.name", "x") == {"a.html": "page of one"}
    both = {"one/report.html": "page of one", "two/report.html": "page of two", "a.html": "one and two"}
    assert written(one, two, "--out", tmp_path / "a.html") == both
    assert opened[:2] == [(one, DataOverride()), (one, DataOverride("x"))]


def test_what_cannot_be_reported_is_one_line(tmp_path, monkeypatch):
    assert "no such directory" in refused(command("jaxae.report", tmp_path / "nowhere"))
    for arguments, message in [([], "no run given"), ([tmp_path, "--out", tmp_path / "no" / "a"], "no directory")]:
        monkeypatch.setattr("sys.argv", ["report", *map(str, arguments)])
        with pytest.raises(UserError, match=message):
            main()


def test_what_the_page_is_made_of_is_installed_with_the_package():
    root = Path(report.__file__).parents[2]
    built = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert built == {"packages": ["jaxae"]}  # every file in it that git does not ignore
