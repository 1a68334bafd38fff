"""The notebooks, run from end to end; the one for Colab with CPU devices in the accelerator's place."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.process import CACHE
from tests.tiny_data_set import write_few

PATH = Path(__file__).parent.parent / "experiments" / "colab_tpu.ipynb"
OF_PYTHON = PATH.with_name("python.ipynb")
SMALL = {
    "ACCELERATOR": '"cpu"',
    "EPOCHS": "1",
    "LIMIT": "512",
    "SEEDS": '"0..1"',
    "FACTORS": "[0.5]",
    "BATCH_SIZES": "[128]",
}


def notebook(path: Path = PATH, **settings: str) -> nbformat.NotebookNode:
    """A notebook with other settings in its first cell of code."""
    read = nbformat.read(path, as_version=4)
    first = next(cell for cell in read.cells if cell.cell_type == "code")
    for name, value in settings.items():
        first.source, count = re.subn(rf"^{name} = .*$", f"{name} = {value}", first.source, flags=re.MULTILINE)
        assert count == 1, name
    return read


def execute(read: nbformat.NotebookNode, folder: Path) -> str:
    """Run it in `folder` and return all that it printed."""
    NotebookClient(read, timeout=240, resources={"metadata": {"path": str(folder)}}).execute()
    return "".join(output.get("text", "") for cell in read.cells if cell.cell_type == "code" for output in cell.outputs)


@pytest.fixture
def kernel(monkeypatch):
    """The environment that a notebook's kernel gets: one device, and the strictness of the tests left out."""
    for name in ("JAX_NUMPY_DTYPE_PROMOTION", "JAX_NUMPY_RANK_PROMOTION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "1")  # for which its cells share their programs
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(CACHE))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("PYTHONPATH", str(PATH.parents[1]))


def pictures_of(read: nbformat.NotebookNode) -> list:
    """What its cells show as pictures."""
    outputs = [output for cell in read.cells for output in cell.get("outputs", ())]
    return [output for output in outputs if "image/png" in output.get("data", {})]


@pytest.mark.parametrize("path", [PATH, OF_PYTHON])
def test_outputs_are_cleared(path):
    read = nbformat.read(path, as_version=4)
    nbformat.validate(read)
    for cell in read.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.slow
def test_it_runs_from_end_to_end(kernel, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    write_few(tmp_path / "data", "mnist", channels=1, size=28)
    (tmp_path / "work").mkdir()
    read = notebook(**SMALL)
    printed = execute(read, tmp_path / "work")
    assert "1 device(s): cpu" in printed
    assert "epoch 1/1" in printed
    assert "gaussian 0.5, rate 0.001" in printed
    assert re.search(r"batch +128: +[\d,]+ images/s", printed)
    assert len(pictures_of(read)) == 2


@pytest.mark.slow
def test_the_notebook_of_python_runs_from_end_to_end(kernel, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    write_few(tmp_path / "data", "digits_small", channels=1, size=28)
    read = notebook(OF_PYTHON, EPOCHS="1", LIMIT="512")
    assert re.search(r"epoch 1: [\d.]+ dB", execute(read, tmp_path))
    assert len(pictures_of(read)) == 3


@pytest.mark.slow
def test_without_the_accelerator_it_stops_before_it_trains(kernel, tmp_path):
    with pytest.raises(CellExecutionError, match="ended with status"):
        execute(notebook(**SMALL | {"ACCELERATOR": '"cuda"'}), tmp_path)
    assert not (tmp_path / "runs").exists()
