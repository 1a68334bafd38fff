"""Several processes on this machine, each started as a user starts it."""

import json
import re
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxae.runs.trained import load_run
from jaxae.training import distributed
from tests.process import command, environment, free_port, refused
from tests.training_run import make_images

MNIST = "jaxae.experiments.mnist_denoise"


def start(number, count, port, *options, **variables):
    """Process `number` of `count`."""
    join = ("--distributed.coordinator", f"localhost:{port}", "--distributed.num-processes", count)
    arguments = (MNIST, *join, "--distributed.process-id", number, *options)
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments)],
        env=environment() | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(processes):
    """The status, output and errors of each."""
    try:
        outputs = [process.communicate(timeout=200) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *output) for process, output in zip(processes, outputs, strict=True)]


def together(count, *options):
    """`count` processes to their end; what process 0 printed."""
    port = free_port()
    results = finish([start(number, count, port, *options) for number in range(count)])
    assert [status for status, _, _ in results] == [0] * count, results
    assert not any("epoch" in out for _, out, _ in results[1:])  # process 0 alone speaks
    return results[0][1]


def params_of(run_dir):
    return jax.device_get(load_run(run_dir).params)


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    images = tmp_path_factory.mktemp("images") / "images"
    make_images(images)
    return ("--data.name", f"folder:{images}", "--train.batch-size", 32, "--train.backend", "xla")


@pytest.mark.slow
def test_runs_go_on_with_another_number_of_processes(options, tmp_path):
    alone, spread = tmp_path / "alone", tmp_path / "spread"
    assert command(MNIST, *options, "--train.epochs", 3, "--run-dir", alone).status == 0

    out = together(2, *options, "--train.epochs", 1, "--run-dir", spread)
    assert "2 CPU devices of 2 processes (jit)" in out
    stream = ("--data.placement", "stream")
    out = together(2, *options, *stream, "--train.epochs", 2, "--run-dir", spread, "--resume")
    assert "continuing after epoch 1" in out
    assert "images streamed" in out
    last = command(MNIST, *options, "--train.epochs", 3, "--run-dir", spread, "--resume", "--devices", 2)
    assert last.status == 0, last.err
    assert "continuing after epoch 2" in last.out

    ours, theirs = (json.loads((run_dir / "summary.json").read_text()) for run_dir in (spread, alone))
    assert ours["share"] == {"devices": 2, "processes": 1, "parallel": "jit", "placement": "device"}
    assert ours["test"]["mse"] == pytest.approx(theirs["test"]["mse"], rel=1e-4)
    assert ours["epochs"] == 3
    distances = jax.tree.map(lambda a, b: np.abs(a - b).ravel(), params_of(spread), params_of(alone))
    assert np.quantile(np.concatenate(jax.tree.leaves(distances)), 0.99) < 1e-5


@pytest.mark.slow
def test_processes_that_do_not_agree_or_do_not_come_are_one_line(options, tmp_path):
    port, here = free_port(), ("--run-dir", tmp_path / "run")
    # with other options
    results = finish([start(n, 2, port, *options, *here, "--seed", n) for n in range(2)])
    assert {status for status, _, _ in results} == {2}, results
    assert all("different options" in err for _, _, err in results)
    assert not (tmp_path / "run").exists()
    # the others never come
    [(status, _, err)] = finish([start(0, 2, free_port(), *options, *here, "--distributed.timeout", 3)])
    assert status == 2
    assert re.search(r"^error: not all processes came to localhost:\d+ within 3 s", err, re.MULTILINE), err
    # nor does the coordinator
    [(status, _, err)] = finish([start(1, 2, free_port(), *options, *here, "--distributed.timeout", 3)])
    assert status == 2
    assert re.search(r"^error: not all processes came to localhost:\d+ within 3 s", err, re.MULTILINE), err


@pytest.mark.slow
def test_a_process_that_dies_ends_the_others(options, tmp_path):
    port, here = free_port(), ("--run-dir", tmp_path / "run", "--train.epochs", 10_000)
    first, second = (start(number, 2, port, *options, *here) for number in range(2))
    for line in first.stdout:
        if "epoch " in line:
            break
    second.kill()
    (status, _, err), _ = finish([first, second])
    # Whoever notices first: the collective operation under way, or JAX's own watch, which aborts the process.
    assert (status == 2 and "error: another process has ended" in err) or status == -signal.SIGABRT, (status, err)


@pytest.mark.parametrize(
    ("variables", "system"),
    [
        ({}, None),
        ({"SLURM_NTASKS": "4", "SLURM_JOB_ID": "1"}, None),  # a shell within an allocation
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_STEP_NODELIST": "n1"}, None),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURM_STEP_NODELIST": "n[1-2]"}, "Slurm"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "MPI"),
        ({"PMI_SIZE": "2"}, "MPI"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None),  # a notebook in a pod
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, "Kubernetes"),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, None),
        ({"TPU_WORKER_HOSTNAMES": "t0,t1"}, "Cloud TPU"),
    ],
)
def test_only_several_processes_are_joined_unasked(variables, system):
    assert distributed.environment(variables) == system


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (
            ("--devices", 3, "--train.batch-size", 128),
            "--train.batch-size 128: 3 devices cannot share it evenly; the nearest size that they can is 129",
        ),
        (("--parallel", "pmap", "--data.placement", "stream"), "--parallel jit"),
    ],
)
def test_what_cannot_be_shared_is_one_line(prepared_data, tmp_path, options, names):
    here = ("--data.name", "mnist", "--data.dir", prepared_data, "--data.limit", 512, "--run-dir", tmp_path / "run")
    assert names in refused(command(MNIST, *here, *options))
    assert not (tmp_path / "run").exists()
