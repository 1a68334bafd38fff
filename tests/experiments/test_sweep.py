import json
import re

import pytest

from jaxae.config import DataConfig
from jaxae.errors import UserError
from jaxae.experiments import sweep
from jaxae.runs import tensorboard
from tests.process import command, refused
from tests.training_run import make_images

SWEEP = "jaxae.experiments.sweep"


def test_seeds_are_numbers_and_ranges():
    assert sweep.parse_seeds(("0..2", "7")) == [0, 1, 2, 7]
    for bad in (
        (),
        ("x",),
        ("3..1",),
        ("0..2", "1"),
        ("1.5",),
        ("0..4000000000",),
        ("-1",),
        (f"{2**32}",),
        ("0..1e9",),
    ):
        with pytest.raises(UserError, match="`seeds`"):
            sweep.parse_seeds(bad)


def test_members_are_every_combination():
    config = sweep.SweepConfig(
        seeds=("0..1",),
        noise=sweep.SweepNoise(factor=("0.1", "0.2..0.4")),
        train=sweep.SweepTrain(epochs=3, learning_rate=(1e-3, 1e-2)),
        data=DataConfig(limit=9),
    )
    members = sweep.member_configs(config)
    assert len(members) == 8
    seen = {(member.seed, member.noise.factor, member.train.learning_rate) for member in members.values()}
    assert len(seen) == 8
    assert all(member.train.epochs == 3 and member.data.limit == 9 for member in members.values())


def test_noise_that_is_given_is_never_dropped():
    def kind(noise):
        config = sweep.SweepConfig("cifar10_reconstruct", noise=noise)
        return {member.noise.kind for member in sweep.member_configs(config).values()}

    assert kind(sweep.SweepNoise()) == {"none"}
    assert kind(sweep.SweepNoise("gaussian")) == {"gaussian"}


@pytest.mark.slow
def test_a_sweep_leaves_runs_that_evaluate_like_single_ones(prepared_data, tmp_path):
    options = ("--data.name", "digits_small", "--data.dir", prepared_data, "--data.limit", 512, "--train.epochs", 1)
    options += ("--train.backend", "xla")
    members = ("--seeds", 0, 1, "--noise.factor", 0.3, "--log.tensorboard")
    result = command(SWEEP, *options, *members, "--run-dir", tmp_path / "sweep")
    assert result.status == 0, result.err
    assert (tmp_path / "sweep" / "comparison.html").read_bytes().count(b"<h1>2 runs compared</h1>") == 1
    for run_dir in (tmp_path / "sweep").glob("seed*"):
        assert (run_dir / "report.html").exists()
        assert list((run_dir / tensorboard.FOLDER).glob("events.*"))
    # after one short epoch the outputs may be collapsed, and then the table says so
    assert re.search(r"\| gaussian 0\.3, rate 0\.001[^|]* \| 2 \|", (tmp_path / "sweep" / "table.md").read_text())
    lone = tmp_path / "lone"
    command("jaxae.experiments.mnist_denoise", *options, "--seed", 1, "--noise.factor", 0.3, "--run-dir", lone)
    ours, theirs = (
        json.loads(command("jaxae.evaluate", run_dir, "--json").out)["test"]
        for run_dir in (tmp_path / "sweep" / "seed1-noise0.3", lone)
    )
    assert ours == pytest.approx(theirs, rel=1e-4)


def test_a_full_directory_and_unknown_seeds_are_refused(prepared_data, tmp_path):
    options = ("--data.name", "mnist", "--data.dir", prepared_data, "--data.limit", 512)
    (tmp_path / "note.txt").write_text("mine")
    assert "not empty" in refused(command(SWEEP, *options, "--run-dir", tmp_path))
    assert "--seeds a" in refused(command(SWEEP, *options, "--run-dir", tmp_path / "new", "--seeds", "a"))


@pytest.mark.slow
def test_a_sweep_that_is_resumed_ends_as_one_that_was_not_stopped(tmp_path):
    make_images(tmp_path / "images")
    data = ("--data.name", f"folder:{tmp_path / 'images'}", "--train.batch-size", 32, "--train.backend", "xla")
    members = ("--seeds", 0, "--train.learning-rate", 1e-3, 1e30)  # one of them diverges
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert command(SWEEP, *data, *members, "--train.epochs", 2, "--run-dir", whole).status == 0
    assert command(SWEEP, *data, *members, "--train.epochs", 1, "--run-dir", stopped).status == 0
    assert "--seeds was" in refused(command(SWEEP, "--run-dir", stopped, "--resume", "--seeds", 3))
    resumed = command(SWEEP, "--run-dir", stopped, "--resume", "--train.epochs", 2)
    assert resumed.status == 0, resumed.err
    assert "continuing after epoch 1" in resumed.out
    assert resumed.err.count("is left out") == 1
    name = "seed0-rate0.001"
    digests = [json.loads((folder / name / "summary.json").read_text())["params_digest"] for folder in (whole, stopped)]
    assert digests[0] == digests[1]
    assert len((stopped / name / "metrics.jsonl").read_text().splitlines()) == 2
