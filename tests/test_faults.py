"""What goes wrong around a run, and what the user sees of it: whole programs, as a user runs them."""

import contextlib
import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import time

import jax.numpy as jnp
import pytest

from jaxae import command as jaxae_command
from jaxae.config import Config, DataConfig, Launch, TrainConfig
from jaxae.errors import UserError
from jaxae.experiments import mnist_denoise, running
from jaxae.runs import directory
from jaxae.training import epochs
from tests import training_run
from tests.process import command, refused

pytestmark = pytest.mark.slow
EPOCHS = 12
SWEEP = "jaxae.experiments.sweep"


class Runs:
    """Starts runs on a folder of small images, whose epochs take a tenth of a second."""

    def __init__(self, work):
        self.images = work / "images"
        training_run.make_images(self.images)

    def start(self, run_dir, *options, epochs=EPOCHS):
        return training_run.start(self.images, run_dir, epochs, *options)

    def finish(self, run_dir, *options, epochs=EPOCHS):
        """What a run says, errors and all, and its status."""
        result = command(*training_run.words(self.images, run_dir, epochs, *options))
        return result.out + result.err, result.status


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def alone(small, tmp_path_factory):
    """A run that nobody disturbed."""
    run_dir = tmp_path_factory.mktemp("alone") / "run"
    said, status = small.finish(run_dir)
    assert status == 0, said
    return run_dir


def digest_of(run_dir):
    return json.loads((run_dir / "summary.json").read_text())["params_digest"]


def wait_for_epoch(process, run_dir, epoch):
    while training_run.saved(run_dir) < epoch and process.poll() is None:
        time.sleep(0.005)
    assert process.poll() is None, process.communicate()[0]


def last_line(said, start):
    lines = [line for line in said.splitlines() if line.startswith(start)]
    assert len(lines) == 1, said
    assert "Traceback" not in said
    return lines[0]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_says_how_to_go_on(small, alone, tmp_path, number, status):
    run_dir = tmp_path / "run"
    process = small.start(run_dir)
    wait_for_epoch(process, run_dir, 2)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.001)
    process.send_signal(number)
    said = process.communicate(timeout=30)[0]
    assert process.returncode == status, said
    epochs = [json.loads(line)["epoch"] for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    # the line of an epoch is written before its checkpoint: a signal between the two leaves one that resuming drops
    assert epochs[-1] - training_run.saved(run_dir) in (0, 1)
    assert training_run.saved(run_dir) < EPOCHS
    assert not training_run.saving(run_dir)
    goes_on = last_line(said, "stopped; continue with: ").removeprefix("stopped; continue with: ")
    words = shlex.split(goes_on)
    assert words[:2] == ["python", "-m"]
    resumed = command(*words[2:])
    assert resumed.status == 0, resumed.err
    assert digest_of(run_dir) == digest_of(alone)


def test_a_run_that_is_going_on_is_not_written_by_another(small, tmp_path):
    run_dir = tmp_path / "run"
    process = small.start(run_dir)
    wait_for_epoch(process, run_dir, 1)
    said, status = small.finish(run_dir, "--resume")
    assert status == 2
    assert "another process is writing" in last_line(said, "error: ")
    assert process.poll() is None
    process.kill()
    process.communicate()
    said, status = small.finish(run_dir, "--resume")  # no lock is left of a killed run
    assert status == 0, said


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(small, alone, tmp_path):
    run_dir = shutil.copytree(alone, tmp_path / "run")
    checkpoints = sorted((run_dir / "checkpoints").iterdir(), key=lambda path: int(path.name))
    data = next(path for path in (checkpoints[-1] / "rest").rglob("*") if path.stat().st_size > 100_000)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    said, status = small.finish(run_dir, "--resume")
    assert status == 0, said
    warning = last_line(said, f"warning: checkpoint {EPOCHS} in ")
    assert "damaged" in warning
    assert f"going on from checkpoint {checkpoints[-2].name}" in warning
    assert digest_of(run_dir) == digest_of(alone)
    for path in (run_dir / "checkpoints").glob("*/params/**/*"):
        if path.is_file():
            path.write_bytes(b"")
    said, status = small.finish(run_dir, "--resume", epochs=EPOCHS + 1)
    assert status == 2
    assert "no intact checkpoint is left" in last_line(said, "error: ")
    assert "no intact checkpoint is left" in refused(command("jaxae.evaluate", run_dir))


@contextlib.contextmanager
def tmpfs(path, size):
    path.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path]).returncode:
        pytest.skip("a small file system cannot be mounted here: RLIMIT_FSIZE stands in for a full disk")
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def test_a_full_disk_is_one_line_and_no_harm(small, alone, tmp_path):
    with tmpfs(tmp_path / "disk", 16 * 2**20) as disk:
        run_dir = disk / "run"
        said, status = small.finish(run_dir, epochs=2)
        assert status == 0, said
        for left in (0, 800_000):
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
            (disk / "filler").write_bytes(bytes(free - left))
            before = training_run.saved(run_dir)
            said, status = small.finish(run_dir, "--resume")
            assert status == 2, said
            line = last_line(said, "error: ")
            assert "no space left on device" in line
            assert "`resume`" not in line  # an option on the command line
            (disk / "filler").unlink()
            evaluated = command("jaxae.evaluate", run_dir, "--json")
            assert evaluated.status == 0, evaluated.err
            assert json.loads(evaluated.out)["epoch"] >= before
        said, status = small.finish(run_dir, "--resume")
        assert status == 0, said
        assert digest_of(run_dir) == digest_of(alone)


def test_a_file_that_may_not_grow_is_one_line_and_no_harm(small, alone, tmp_path):
    run_dir = tmp_path / "run"
    assert small.finish(run_dir, epochs=2)[1] == 0
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))  # half of a checkpoint's largest file
    try:
        process = small.start(run_dir, "--resume")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 2, said
    assert "cannot write" in last_line(said, "error: ")
    assert training_run.saved(run_dir) == 2
    said, status = small.finish(run_dir, "--resume")
    assert status == 0, said
    assert digest_of(run_dir) == digest_of(alone)


def test_a_loss_that_is_no_number_stops_the_run(small, tmp_path):
    said, status = small.finish(tmp_path / "run", "--train.learning-rate", "1e30")
    assert status == 2
    assert "in epoch 1: the run stopped" in last_line(said, "error: ")
    assert not (tmp_path / "run" / "summary.json").exists()


def test_an_infinite_loss_keeps_the_epoch_before(small, tmp_path, monkeypatch):
    train_epoch = epochs.train_epoch

    def diverging(task, hyper, state, images):
        after, losses = train_epoch(task, hyper, state, images)
        return after, jnp.where(state.step > 0, jnp.inf, losses)  # from the second epoch on

    monkeypatch.setattr(epochs, "train_epoch", diverging)
    monkeypatch.setattr(jaxae_command, "enable_compilation_cache", lambda: None)
    run_dir = tmp_path / "run"
    config = Config(DataConfig(f"folder:{small.images}"), train=TrainConfig(3, 32, backend="xla"))
    with pytest.raises(UserError, match="train loss is inf in epoch 2: the run stopped"):
        running.run_config(mnist_denoise.EXPERIMENT, config, Launch(run_dir=run_dir, devices=1))
    assert [line["epoch"] for line in directory.read_history(run_dir)] == [1]
    assert training_run.saved(run_dir) == 1


def test_a_sweep_leaves_out_what_diverges(small, tmp_path):
    images = ("--data.name", f"folder:{small.images}", "--train.batch-size", 32, "--train.epochs", 2)
    rates = ("--seeds", 0, "--train.learning-rate", 1e-3, 1e30)
    result = command(SWEEP, *images, *rates, "--run-dir", tmp_path / "sweep")
    assert result.status == 0, result.err
    assert "rate1e+30 is left out: train loss is " in result.err
    assert (tmp_path / "sweep" / "table.md").read_text().count("gaussian 0.5") == 1
    assert "holds no state" in result.err
    assert [path.name for path in sorted((tmp_path / "sweep" / "seed0-rate1e+30").iterdir())] == [
        "config.json",
        "data.json",
        "launch.json",
    ]
