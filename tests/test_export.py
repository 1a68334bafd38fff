"""Exported networks, loaded again without jaxae and compared with the run they come from."""

import importlib.util
import re
import sys
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest

from jaxae import export, models
from jaxae.errors import UserError
from tests.small_run import write_run

DOCS = (Path(__file__).parent.parent / "docs" / "export.md").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the runs `mnist` and `cifar`, and `mirrored`, one of cifar's with a margin."""
    folder = tmp_path_factory.mktemp("runs")
    for name in models.MODELS:
        write_run(folder / name, name)
    write_run(folder / "mirrored", "cifar", margin=4)
    return folder


def run_export(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["export", *map(str, arguments)])
    export.main()


def loaded(path):
    """The function in the file, and the shape [batch, height, width, channels] that it says it takes."""
    if path.suffix == ".jax":
        exported = jax.export.deserialize(bytearray(path.read_bytes()))
        assert exported.platforms == ("cpu", "cuda", "tpu")
        return exported.call, exported.in_avals[0].shape
    session = onnxruntime.InferenceSession(path)
    return lambda images: session.run(None, {"images": images})[0], session.get_inputs()[0].shape


@pytest.mark.parametrize("suffix", export.FORMATS)
@pytest.mark.parametrize("name", ["cifar", "mirrored", "mnist"])
def test_a_file_computes_what_the_run_does(folder, monkeypatch, capsys, name, suffix):
    run_dir, out = folder / name, folder / f"{name}{suffix}"
    run_export(monkeypatch, run_dir, out)
    network = "cifar" if name == "mirrored" else name
    assert f"the {network} network after epoch 3" in capsys.readouterr().out
    restore, takes = loaded(out)
    run = export.trained.restore(run_dir)
    height, width, channels = run.model.image_shape
    assert [isinstance(size, int) for size in takes] == [False, False, False, True]
    for shape in ((1, height, width), (7, height, width), (2, 40, 24)):
        images = np.random.default_rng(0).random((*shape, channels), np.float32)
        expected = jax.jit(run.model.clone(way="xla").apply)({"params": run.params}, jnp.asarray(images))
        np.testing.assert_allclose(restore(images), expected, rtol=0, atol=1e-5)
    if name == "mnist" and suffix == ".jax":
        with pytest.raises(ValueError, match="remainder"):
            restore(np.zeros((1, 30, 30, 1), np.float32))


def test_an_onnx_file_says_what_other_runtimes_need(folder):
    import onnx

    proto = onnx.load_from_string(export.to_onnx(export.trained.restore(folder / "mnist")))
    layers = [node for node in proto.graph.node if node.op_type.startswith("Conv")]
    sizes = [next(list(entry.ints) for entry in node.attribute if entry.name == "kernel_shape") for node in layers]
    assert sizes == [[3, 3], [3, 3], [5, 5], [5, 5], [3, 3], [3, 3]]
    assert {entry.key: entry.value for entry in proto.metadata_props} == {"layout": "NHWC", "range": "0..1"}
    assert "[0, 1]" in proto.doc_string


def test_the_examples_in_the_docs_run(tmp_path, monkeypatch, capsys):
    write_run(tmp_path / "runs" / "mine", "mnist")
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"^python -m jaxae\.export (.*)$", DOCS, flags=re.MULTILINE)
    for command in commands:
        run_export(monkeypatch, *command.split())
    assert capsys.readouterr().out.count("written: mine.") == len(commands) == 2
    examples = re.findall(r"```python\n(.*?)```", DOCS, flags=re.DOTALL)
    for example in examples:
        exec(
            example.replace('open("mine.jax", "rb").read()', '__import__("pathlib").Path("mine.jax").read_bytes()'), {}
        )
    assert capsys.readouterr().out == "(5, 28, 28, 1)\n" * len(examples) == "(5, 28, 28, 1)\n" * 2


def test_what_cannot_be_exported_is_one_line(folder, monkeypatch, tmp_path):
    for name in ("out.pt", "out"):
        with pytest.raises(UserError, match=r"\.jax or \.onnx"):
            run_export(monkeypatch, folder / "mnist", tmp_path / name)
    with pytest.raises(UserError, match="no such directory"):
        run_export(monkeypatch, tmp_path / "nowhere", tmp_path / "out.onnx")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"need the package flatbuffers: pip install 'jaxae\[export\]'"):
        run_export(monkeypatch, folder / "mnist", tmp_path / "out.jax")
    assert list(tmp_path.iterdir()) == []
