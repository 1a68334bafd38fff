"""Exported networks, loaded again without jaxae and compared with the run they come from."""

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from flax import linen as nn

from jaxae import export, networks
from jaxae.errors import UserError
from jaxae.runs.digest import tree_digest
from tests.small_run import add_checkpoint, write_run

DOCS = (Path(__file__).parent.parent / "docs" / "export.md").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the runs `mnist` and `cifar`, and `mirrored`, one of cifar's with reflection padding."""
    folder = tmp_path_factory.mktemp("runs")
    for name in networks.NETWORKS:
        write_run(folder / name, name)
    write_run(folder / "mirrored", "cifar", reflect_padding=4)
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
    run = export.trained.load_run(run_dir)
    height, width, channels = run.network.image_shape
    assert [isinstance(size, int) for size in takes] == [False, False, False, True]
    for shape in ((1, height, width), (7, height, width), (2, 40, 24)):
        images = np.random.default_rng(0).random((*shape, channels), np.float32)
        expected = jax.jit(run.network.clone(backend="xla").apply)({"params": run.params}, jnp.asarray(images))
        np.testing.assert_allclose(restore(images), expected, rtol=0, atol=1e-5)
    if name == "mnist" and suffix == ".jax":
        with pytest.raises(ValueError, match="remainder"):
            restore(np.zeros((1, 30, 30, 1), np.float32))


def test_the_checkpoint_that_is_named_is_exported_in_float32(monkeypatch, capsys, tmp_path):
    best = write_run(tmp_path / "run", "cifar", precision="bfloat16")
    add_checkpoint(tmp_path / "run", "cifar", 4, seed=1, score=9.0)
    given = []

    def make(network, params):
        given.append((network.dtype, tree_digest(params)))
        return b"network", True

    monkeypatch.setitem(export.FORMATS, ".jax", (make, "flatbuffers"))
    run_export(monkeypatch, tmp_path / "run", tmp_path / "best.jax", "--checkpoint", "best")
    run_export(monkeypatch, tmp_path / "run", tmp_path / "latest.jax")
    assert re.findall(r"after epoch (\d)", capsys.readouterr().out) == ["3", "4"]
    (dtype, digest), (_, other) = given
    assert dtype == jnp.float32
    assert digest == tree_digest(best) != other


def test_an_onnx_file_says_what_other_runtimes_need(folder):
    import onnx

    run = export.trained.load_run(folder / "mnist")
    proto = onnx.load_from_string(export.to_onnx(run.network.clone(backend="xla"), run.params)[0])
    layers = [node for node in proto.graph.node if node.op_type.startswith("Conv")]
    sizes = [next(list(entry.ints) for entry in node.attribute if entry.name == "kernel_shape") for node in layers]
    assert sizes == [[3, 3], [3, 3], [5, 5], [5, 5], [3, 3], [3, 3]]
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    assert metadata == {"layout": "NHWC", "range": "0..1", "network": "MnistDenoiser"}
    assert "[0, 1]" in proto.doc_string
    assert (proto.opset_import[0].version, proto.ir_version) == (17, 8)
    kinds = [node.op_type for node in proto.graph.node if node.op_type not in ("Transpose", "Identity")]
    assert kinds == [*["Conv", "Add", "Relu"] * 4, "ConvTranspose", "Add", "Relu", "ConvTranspose", "Add", "Sigmoid"]
    # the weights have their names
    names = {
        f"{part}_{number}.{kind}"
        for part in ("encoder", "decoder")
        for number in range(3)
        for kind in ("kernel", "bias")
    }
    assert {array.name for array in proto.graph.initializer} == names


def parameters(network):
    """Random parameters for `network`."""
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, *network.image_shape)))["params"]
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.uniform(-0.3, 0.3, leaf.shape).astype(np.float32), shapes)


class UNet(networks.Network):
    """Skip connections, normalization, every way to grow an image, and another activation."""

    activation: Callable = nn.silu
    image_shape = (32, 32, 3)
    min_size, size_multiple = 16, 4

    @nn.compact
    def __call__(self, images):
        a = self.activation(nn.GroupNorm(4)(nn.Conv(8, (3, 3))(images)))
        b = self.activation(nn.LayerNorm()(nn.Conv(16, (4, 2), strides=2)(a)))
        c = nn.Conv(16, (3, 3), strides=2)(b)
        b = b + jnp.repeat(jnp.repeat(c, 2, axis=1), 2, axis=2)
        up = [
            nn.ConvTranspose(8, size, strides=(2, 2), padding=pad)(b)
            for size, pad in (((2, 2), "SAME"), ((3, 5), "SAME"))
        ]
        up.append(nn.ConvTranspose(4, (1, 1), strides=(2, 2))(b))
        brightness = jnp.broadcast_to(images.mean((1, 2, 3), keepdims=True), images.shape)
        x = jnp.concatenate([a, *up, brightness, jnp.ones_like(images)], axis=-1)
        return nn.sigmoid(images + nn.Conv(3, (3, 3))(x) / jnp.mean(jnp.abs(x), axis=(1, 2, 3), keepdims=True))


def assert_same(network, params, content, sizes):
    session = onnxruntime.InferenceSession(content)
    for shape in sizes:
        images = np.random.default_rng(1).random((*shape, network.image_shape[2]), np.float32)
        expected = jax.jit(network.apply)({"params": params}, images)
        np.testing.assert_allclose(session.run(None, {"images": images})[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("activation", [nn.silu, nn.gelu, nn.leaky_relu, nn.relu, nn.hard_swish, nn.tanh])
def test_any_network_keeps_all_that_it_computes(activation):
    network = UNet(activation=activation)
    params = parameters(network)
    content, free_size = export.to_onnx(network, params)
    assert free_size
    assert_same(network, params, content, [(1, 32, 32), (3, 24, 44)])


def test_without_onnx_runtime_the_reference_checks(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name))
    network = networks.build("cifar", "xla", reflect_padding=4)
    assert export.to_onnx(network, parameters(network))[1]


class Doubled(networks.Network):
    """A network that computes `function` of its images."""

    function: Callable = abs
    image_shape = (8, 8, 3)
    min_size, size_multiple = 1, 1

    def __call__(self, images):
        return self.function(images)


def test_a_network_that_compares_sizes_has_a_fixed_size():
    network = Doubled(function=lambda images: images / 2 if images.shape[1] > 4 else images)
    for _, free_size in (export.to_onnx(network, {}), export.to_jax(network, {})):
        assert not free_size
    [size] = onnxruntime.InferenceSession(export.to_onnx(network, {})[0]).get_inputs()
    assert size.shape == ["batch", 8, 8, 3]


def mixed(images, *last):
    """A mix of the channels, whose weights differ from another one's in the last output only."""
    kernel = np.float32([[0.1, 0.2, last[0]], [0.3, 0.4, last[1]], [0.5, 0.6, last[2]]])[None, None]
    return jax.lax.conv_general_dilated(images, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@pytest.mark.parametrize(
    "function",
    [
        lambda images: jnp.maximum(images, 0.5),
        lambda images: jnp.flip(mixed(images, 0.7, 0.8, 0.9), 1),
        lambda images: mixed(images, 0.7, 0.8, 0.9) + mixed(images, 0.1, 0.2, 0.3),
    ],
)
def test_a_limit_an_order_of_axes_and_similar_weights_are_kept(function):
    network = Doubled(function=function)
    assert_same(network, {}, export.to_onnx(network, {})[0], [(2, 6, 10)])


def dilated(images):
    layout = ("NHWC", "HWIO", "NHWC")
    options = {"rhs_dilation": (2, 2), "dimension_numbers": layout}
    return jax.lax.conv_general_dilated(images, jnp.ones((3, 3, 3, 3)), (1, 1), "SAME", **options)


@pytest.mark.parametrize(("function", "name"), [
    (lambda images: jnp.sort(images), "'sort'"),
    (lambda images: images + jnp.cumsum(images, axis=1), "'cumsum'"),
    (lambda images: jnp.sin(images), "'sin'"),
    (lambda images: jnp.take(images, jnp.array([0, 2, 1]), axis=3), "'gather' other than as a slice"),
    (lambda images: jax.lax.conv(images, images, (1, 1), "SAME"), "a convolution with a computed kernel"),
    (lambda images: images @ jnp.ones((3, 3)), "'dot_general'"),
    (lambda images: jnp.pad(images, 1), "'pad'"),
    (lambda images: nn.max_pool(images, (2, 2)), "'reduce_window_max'"),
    (dilated, "a convolution with groups or a dilated kernel"),
])  # fmt: skip
def test_what_has_no_rule_is_refused_by_name(function, name):
    with pytest.raises(UserError, match=f"the network uses {name}.* cannot be exported to ONNX yet; export to .jax"):
        export.to_onnx(Doubled(function=function), {})


def test_a_wrong_conversion_is_not_written(monkeypatch):
    from jaxae.jaxpr_to_onnx import rules

    monkeypatch.setitem(rules._OPERATORS, "abs", ["Neg"])
    network = Doubled(function=lambda images: jnp.abs(images - 0.5))  # as it is where a value is below 0.5
    with pytest.raises(UserError, match="does not compute what the network does"):
        export.to_onnx(network, {})


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
    with pytest.raises(UserError, match=r"need the package flatbuffers: pip install -e '.\[export\]'"):
        run_export(monkeypatch, folder / "mnist", tmp_path / "out.jax")
    assert list(tmp_path.iterdir()) == []
