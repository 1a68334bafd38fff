"""Every test runs on 8 fake CPU devices, strict about dtypes and rank promotion, with array shapes checked."""

import os
import signal
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUM_CPU_DEVICES"] = "8"
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
# Compiling is much of what these tests do, so most of LLVM's optimizations are left out; without any at all, XLA's
# convolutions take 20 times as long. Every supported XLA must know these flags: it ends a process over an unknown one.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1 --xla_llvm_disable_expensive_passes=true")

import pytest
from jaxtyping import install_import_hook

# A background job ignores Ctrl-C, and so would every command that the tests start: they send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Checks the `Float[Array, "batch height width channels"]` annotations of every public function at run time.
install_import_hook("jaxae", "beartype.beartype")

from jaxae import ops  # noqa: E402 - after the hook

# In this process "auto" stands for the backends that compile fastest, since tests train on few images; commands in
# processes of their own, and tests that name a backend, use the others.
AUTO = {"auto": dict(ops.AUTO), "ensemble": dict(ops.AUTO_ENSEMBLE)}
ops.AUTO["cpu"], ops.AUTO_ENSEMBLE["cpu"] = "xla", "unfold"


@pytest.fixture
def users_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What "auto" stands for outside of the tests."""
    monkeypatch.setattr(ops, "AUTO", AUTO["auto"])
    monkeypatch.setattr(ops, "AUTO_ENSEMBLE", AUTO["ensemble"])


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data: `mnist/` (the four official files) and `tensorflow_datasets/cifar10/` (prepared)."""
    if "JAXAE_TEST_DATA" not in os.environ:
        pytest.skip("JAXAE_TEST_DATA is unset: it names the folder with the real MNIST and CIFAR-10")
    return Path(os.environ["JAXAE_TEST_DATA"]).resolve(strict=True)


@pytest.fixture(scope="session")
def prepared_data(request: pytest.FixtureRequest, real_data: Path) -> Path:
    """A TFDS data directory with the real MNIST and `digits_small`, prepared once and kept between test runs."""
    from jaxae.data import prepare

    data_dir = Path(request.config.cache.mkdir("tensorflow_datasets"))
    prepare("mnist", data_dir, real_data / "mnist")
    prepare("digits_small", data_dir)
    return data_dir


# The files with the longest tests: begun first, so that no process is left alone with one of them at the end.
LONGEST = (
    "test_docs",
    "test_colab",
    "test_accelerator",
    "test_disks",
    "test_layouts",
    "test_distributed",
    "test_kills",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files with the longest tests first."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)
