"""Whole programs, run as a user runs them."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.process import command, refused

MNIST = "jaxae.experiments.mnist_denoise"
SMALL = ("--data.limit", 512, "--train.epochs", 2)


@pytest.fixture(scope="module")
def run(prepared_data, tmp_path_factory):
    """A short run on real MNIST: its directory and what it printed."""
    run_dir = tmp_path_factory.mktemp("runs") / "run"
    result = command(MNIST, "--data.name", "mnist", "--data.dir", prepared_data, "--run-dir", run_dir, *SMALL)
    assert result.status == 0, result.err
    return run_dir, result


def summary_of(run_dir):
    return json.loads((run_dir / "summary.json").read_text())


def test_a_run_leaves_what_the_design_says(run):
    run_dir, result = run
    assert {path.name for path in run_dir.iterdir()} == {
        "config.json", "launch.json", "data.json", "metrics.jsonl", "checkpoints", "figures", "summary.json",
        "report.html",
    }  # fmt: skip
    summary = summary_of(run_dir)
    assert summary["data"] == {"name": "mnist", "reason": None, "train_size": 512, "test_size": 10_000}
    assert summary["test"]["noisy_psnr"] == pytest.approx(9.38, abs=0.01)
    assert summary["throughput"]["images_per_second"] > 0 < summary["throughput"]["compile_seconds"]
    assert summary["device"]["platform"] == "cpu"
    assert {"jax", "flax", "python"} <= summary["versions"].keys()
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[1]["psnr"] > lines[0]["psnr"]
    assert lines[1]["psnr"] == summary["test"]["psnr"]
    for name in ("images.png", "curves.png"):
        assert (run_dir / "figures" / name).read_bytes().startswith(b"\x89PNG")
    assert "epoch 2/2" in result.out
    assert result.err == ""


def test_evaluate_prints_the_metrics_of_the_summary(run):
    run_dir, _ = run
    result = command("jaxae.evaluate", run_dir, "--json")
    assert result.status == 0, result.err
    evaluated = json.loads(result.out)
    assert evaluated["test"] == pytest.approx(summary_of(run_dir)["test"], rel=1e-6)  # means of another program
    assert evaluated["params_digest"] == summary_of(run_dir)["params_digest"]
    stronger = json.loads(command("jaxae.evaluate", run_dir, "--noise.factor", "0.9", "--json").out)
    assert stronger["noise"] == "gaussian 0.9"
    assert stronger["test"]["noisy_psnr"] < evaluated["test"]["noisy_psnr"]


@pytest.mark.slow
def test_the_seed_decides_the_parameters(run, prepared_data, tmp_path):
    options = ("--data.name", "mnist", "--data.dir", prepared_data, *SMALL)
    again, other = tmp_path / "again", tmp_path / "other"
    assert command(MNIST, *options, "--run-dir", again).status == 0
    assert command(MNIST, *options, "--run-dir", other, "--seed", 1).status == 0
    digests = [summary_of(run_dir)["params_digest"] for run_dir in (run[0], again, other)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.slow
def test_a_run_that_is_resumed_ends_as_one_that_was_not_stopped(run, prepared_data, tmp_path):
    options = ("--data.name", "mnist", "--data.dir", prepared_data, "--data.limit", 512, "--run-dir", tmp_path / "run")
    assert command(MNIST, *options, "--train.epochs", 1).status == 0
    resumed = command(MNIST, *options, "--train.epochs", 2, "--resume")
    assert resumed.status == 0, resumed.err
    assert "continuing after epoch 1" in resumed.out
    ours, whole = summary_of(tmp_path / "run"), summary_of(run[0])
    assert ours["params_digest"] == whole["params_digest"]
    assert ours["test"] == whole["test"]


@pytest.mark.slow
def test_the_best_checkpoint_is_chosen_by_the_validation_part_and_training_stops_by_it(prepared_data, tmp_path):
    data = ("--data.name", "digits_small", "--data.dir", prepared_data, "--data.limit", 512, "--data.validation", 0.25)
    rising = ("--train.learning-rate", 0.05, "--train.patience", 2, "--train.epochs", 30)
    result = command(MNIST, *data, *rising, "--run-dir", tmp_path / "run")
    assert result.status == 0, result.err
    assert "384 training and 2,000 test images, 128 to validate on" in result.out
    history = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    scores = [line["validation_psnr"] for line in history]
    best = scores.index(max(scores)) + 1
    assert len(history) == best + 2 < 30
    assert "stopping: no better validation score in 2 epochs" in result.out
    found = json.loads(command("jaxae.evaluate", tmp_path / "run", "--checkpoint", "best", "--json").out)
    assert found["epoch"] == best
    assert found["test"]["psnr"] == pytest.approx(history[best - 1]["psnr"], rel=1e-6)
    assert summary_of(tmp_path / "run")["epochs"] == len(history)
    again = command(MNIST, *data, *rising, "--run-dir", tmp_path / "run", "--resume")  # it has converged already
    assert again.status == 0, again.err
    assert summary_of(tmp_path / "run")["epochs"] == len(history)


def test_without_a_validation_part_there_is_no_best_checkpoint(run):
    line = refused(command("jaxae.evaluate", run[0], "--checkpoint", "best"))
    assert "no validation part" in line
    assert "--data.validation" in refused(command(MNIST, "--train.patience", 3))


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (("--train.epochs", 0), "--train.epochs 0"),
        (("--noise.kind", "gausian"), "did you mean gaussian"),
        (("--data.name", "mnits"), "mnist"),
        (("--data.name", "folder:nowhere"), "nowhere"),
        (("--train.backend", "fastest"), "xla"),
        (("--train.batch-size", 513), "at most 512"),
        (("--network", "cifar"), "28×28×1"),
        (("--train.target", "noisy", "--noise.kind", "masking"), "gaussian, uniform, speckle or poisson"),
    ],
)
def test_bad_options_end_in_one_line(prepared_data, tmp_path, options, names):
    here = ("--data.dir", prepared_data, "--data.limit", 512, "--run-dir", tmp_path / "run")
    if "--data.name" not in options:
        here += ("--data.name", "mnist")
    assert names in refused(command(MNIST, *here, *options))
    assert not (tmp_path / "run").exists()


def test_a_directory_that_holds_something_else_is_refused(run, prepared_data, tmp_path):
    options = ("--data.name", "mnist", "--data.dir", prepared_data, *SMALL)
    before = summary_of(run[0])
    assert "already holds a run" in refused(command(MNIST, *options, "--run-dir", run[0]))
    changed = refused(command(MNIST, *options, "--run-dir", run[0], "--resume", "--seed", 5))
    assert "--seed was 0, is 5" in changed
    assert summary_of(run[0]) == before
    (tmp_path / "note.txt").write_text("mine")
    assert "not empty" in refused(command(MNIST, *options, "--run-dir", tmp_path))
    assert "not a directory" in refused(command(MNIST, *options, "--run-dir", tmp_path / "note.txt"))


def test_mnist_that_cannot_be_had_names_both_remedies(tmp_path):
    # a proxy that nobody listens at is as good as no network
    nowhere = {name: "http://127.0.0.1:9" for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}
    result = command(MNIST, "--data.name", "mnist", "--data.dir", tmp_path, "--run-dir", tmp_path / "run", **nowhere)
    line = refused(result)
    assert "network" in line
    assert "python -m jaxae.data prepare mnist --from" in line


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        (lambda run_dir: (run_dir / "config.json").unlink(), "it has no config.json"),
        (lambda run_dir: (run_dir / "config.json").write_text("{"), "config.json"),
        (lambda run_dir: (run_dir / "checkpoints").rename(run_dir / "elsewhere"), "no checkpoint"),
        (lambda run_dir: [path.write_bytes(b"") for path in (run_dir / "checkpoints").glob("*/params/d/*")], "damaged"),
    ],
)
def test_evaluate_names_what_is_wrong_with_a_run(run, tmp_path, damage, names):
    import shutil

    shutil.copytree(run[0], tmp_path / "run")
    damage(tmp_path / "run")
    assert names in refused(command("jaxae.evaluate", tmp_path / "run"))
    assert "no such directory" in refused(command("jaxae.evaluate", tmp_path / "nowhere"))


@pytest.mark.slow
def test_cifar10_trains_and_evaluates_without_noise(real_data, tmp_path):
    run_dir = tmp_path / "run"
    options = ("--data.name", "cifar10", "--data.dir", real_data / "tensorflow_datasets", "--data.limit", 512)
    result = command(
        "jaxae.experiments.cifar10_reconstruct", *options, "--train.epochs", 1, "--recipe", "fast", "--run-dir", run_dir
    )
    assert result.status == 0, result.err
    summary = summary_of(run_dir)
    assert summary["noise"] == "none"
    assert set(summary["test"]) == {"mse", "psnr", "ssim"}
    evaluated = json.loads(command("jaxae.evaluate", run_dir, "--json").out)
    assert evaluated["test"] == pytest.approx(summary["test"], rel=1e-6)


@pytest.mark.slow
def test_a_folder_of_images_trains_and_evaluates(tmp_path):
    rng, folder = np.random.default_rng(0), tmp_path / "photos"
    folder.mkdir()
    for number in range(40):
        height, width = rng.integers(40, 100, 2)
        image = Image.fromarray(rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)).resize((width, height))
        image.save(folder / f"{number}.{'png' if number % 2 else 'jpg'}")
    (folder / "text.png").write_text("no picture")
    run_dir = tmp_path / "run"
    options = ("--data.name", f"folder:{folder}", "--train.epochs", 2, "--train.batch-size", 8, "--run-dir", run_dir)
    result = command("jaxae.experiments.cifar10_denoise", *options)
    assert result.status == 0, result.err
    assert "text.png" in result.err
    assert len(result.err.splitlines()) == 1
    sizes = summary_of(run_dir)["data"]
    assert sizes["train_size"] + sizes["test_size"] == 40
    evaluated = json.loads(command("jaxae.evaluate", run_dir, "--json").out)
    assert evaluated["test"] == pytest.approx(summary_of(run_dir)["test"], rel=1e-6)
