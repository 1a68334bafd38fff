"""What JAX is asked to run on, and what else the environment says to it."""

import json
import warnings

import jax
import pytest

from jaxae.command import accelerator
from tests.process import command, refused
from tests.training_run import make_images

MNIST = "jaxae.experiments.mnist_denoise"
# What a run takes note of without any other number: all of it at once, and each on record in the summary.
SAME = {
    "JAX_PLATFORMS": "cpu",
    "JAX_DEBUG_NANS": "1",
    "JAX_CHECK_TRACER_LEAKS": "1",
    "JAX_ENABLE_CHECKS": "1",
    "JAX_TRACEBACK_FILTERING": "off",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",  # of products on accelerators alone
    "JAX_CPU_ENABLE_ASYNC_DISPATCH": "0",
    "JAX_ENABLE_COMPILATION_CACHE": "0",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "XLA_PYTHON_CLIENT_MEM_FRACTION": ".5",
    "CUDA_VISIBLE_DEVICES": "",
    "NO_COLOR": "1",
}
# What changes the numbers that are drawn or computed, as it is meant to: the summary says that it was set.
OTHER = {"JAX_ENABLE_X64": "1", "JAX_DEFAULT_PRNG_IMPL": "rbg", "JAX_RANDOM_SEED_OFFSET": "1"}
REFUSED = [
    ({"JAX_PLATFORMS": "cuda"}, "JAX_PLATFORMS=cuda: JAX cannot start on it (no plugin of that name is installed)"),
    ({"JAX_PLATFORMS": "gpu"}, "pip install -e '.[gpu]'"),
    ({"JAX_PLATFORMS": "tpu"}, "pip install -e '.[tpu]'"),
    ({"JAX_PLATFORMS": "cuad"}, "unset it, name cpu, or install what cuda (pip install -e '.[gpu]') or tpu"),
    ({"JAX_PLATFORMS": "", "JAX_PLATFORM_NAME": "gpu"}, "JAX_PLATFORM_NAME=gpu: JAX cannot start on it"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """`trained(**variables)`: the summary of a short run under them."""
    images = tmp_path_factory.mktemp("images") / "images"
    make_images(images)

    def train(**variables):
        run_dir = tmp_path_factory.mktemp("runs") / "run"
        small = (
            "--data.name",
            f"folder:{images}",
            "--train.batch-size",
            32,
            "--train.epochs",
            1,
            "--train.backend",
            "xla",
        )
        result = command(MNIST, *small, "--run-dir", run_dir, **variables)
        assert result.status == 0, result.err
        return json.loads((run_dir / "summary.json").read_text())

    return train


@pytest.mark.slow
def test_variables_leave_a_runs_numbers_alone_or_are_on_record(trained):
    plain = trained()["params_digest"]
    same, other = trained(**SAME), trained(**OTHER)
    assert same["params_digest"] == plain != other["params_digest"]
    for variables, summary in ((SAME, same), (OTHER, other)):
        jaxs = {name: value for name, value in variables.items() if name.startswith(("JAX_", "XLA_"))}
        assert jaxs.items() <= summary["environment"].items()


@pytest.mark.slow
@pytest.mark.parametrize(("variables", "names"), REFUSED)
def test_what_jax_cannot_start_on_is_one_line(tmp_path, variables, names):
    options = ("--data.name", "digits_small", "--data.dir", tmp_path, "--run-dir", tmp_path / "run")
    assert names in refused(command(MNIST, *options, **variables))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("there", "says"), [("dev/nvidia0", "an NVIDIA card"), ("dev/accel0", "a TPU"), ("dev/null", None)]
)
def test_a_machines_idle_accelerator_is_named(monkeypatch, tmp_path, there, says):
    (tmp_path / "dev").mkdir()
    (tmp_path / there).touch()
    for name in ("CUDA_VISIBLE_DEVICES", "TPU_ACCELERATOR_TYPE", "JAX_PLATFORM_NAME"):
        monkeypatch.delenv(name, raising=False)
    accelerator.warn_if_unused(tmp_path)  # the tests ask for the CPU
    before = jax.config.jax_platforms
    jax.config.update("jax_platforms", None)
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            accelerator.warn_if_unused(tmp_path)
    finally:
        jax.config.update("jax_platforms", before)
    assert [f"this machine has {says}" in str(warning.message) for warning in seen] == [True] * (says is not None)
