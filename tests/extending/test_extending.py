"""The extensions of this folder: small files, public names alone, and every command works with them on real images."""

import ast
import dataclasses
import importlib
import json
import re
import sys
from collections import OrderedDict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tyro
from PIL import Image

from jaxae import data, extensions, networks, noise, ops
from jaxae.config import Config, DataPlace
from jaxae.data.dataset import SOURCES
from jaxae.errors import UserError
from jaxae.experiments import sweep
from jaxae.metrics import METRICS
from jaxae.networks import NETWORKS
from jaxae.noise import KINDS
from jaxae.ops import BACKENDS
from jaxae.registry import Registry
from jaxae.runs import directory, trained
from jaxae.training import OBJECTIVES, RECIPES
from tests.process import Server, command, refused
from tests.small_run import write_run
from tests.tiny_data_set import write_tiny

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py") if not path.stem.startswith("test_"))
LINES = 60
DOCUMENTED = {
    module
    for page in (FOLDER.parents[1] / "docs" / "reference").glob("*.md")
    for module in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)
}
REGISTRIES = (SOURCES, NETWORKS, METRICS, KINDS, BACKENDS, RECIPES, OBJECTIVES)

MNIST, CIFAR = "mnist_denoise", "cifar10_denoise"
FEW = ("--data.limit", "64")  # for what takes long
CHAINS = {  # the experiment, and the options that select the extension
    "lines": (MNIST, ("--noise.kind", "lines", "--noise.factor", "0.1..0.3")),
    "lion": (MNIST, ("--recipe", "lion")),
    "npz": (MNIST, ("--data.name", "npz:{data}/mnist.npz")),
    "nrmse": (MNIST, ()),
    "patches": (MNIST, ("--train.backend", "patches", *FEW)),
    "r2r": (MNIST, ("--train.target", "r2r")),
    "unet": (CIFAR, ("--network", "unet", "--train.backend", "unfold", *FEW)),
}


def test_every_extension_has_its_chain():
    assert set(NAMES) == set(CHAINS)


@pytest.mark.parametrize("name", NAMES)
def test_an_extension_is_one_small_file(name):
    assert len((FOLDER / f"{name}.py").read_text().splitlines()) <= LINES


@pytest.mark.parametrize("name", NAMES)
def test_an_extension_uses_public_names_of_documented_modules_alone(name):
    for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text())):
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_"), node.attr
        elif isinstance(node, ast.Import):
            assert not [alias.name for alias in node.names if alias.name.startswith(("jaxae", "tests", "_"))]
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            assert not node.module.startswith("tests")
            for alias in node.names:
                assert not alias.name.startswith("_"), alias.name
                assert is_offered(node.module, alias.name), f"{alias.name} of {node.module}"


def is_offered(module: str, name: str) -> bool:
    """Whether `name` is a documented module, or one of the names that the documented `module` offers."""
    if not module.startswith("jaxae") or f"{module}.{name}" in DOCUMENTED:
        return True
    offered = importlib.import_module(module)
    if hasattr(offered, "__all__"):
        return module in DOCUMENTED and name in offered.__all__
    value = getattr(offered, name)
    return module in DOCUMENTED and (isinstance(value, Registry) or value.__module__ == module)


@pytest.fixture(scope="module")
def few_images(real_data, prepared_data, tmp_path_factory):
    """A data directory with the first images of the real MNIST and CIFAR-10, and `mnist.npz` with those of MNIST."""
    import tensorflow_datasets as tfds

    folder = tmp_path_factory.mktemp("data")
    for name, place in (("mnist", prepared_data), ("cifar10", real_data / "tensorflow_datasets")):
        whole = data.open(name, place)
        splits = {split: whole.records(split, count).load().clean for split, count in (("train", 256), ("test", 64))}
        if name == "mnist":
            np.savez(folder / "mnist.npz", **splits)
        features = {"image": tfds.features.Tensor(shape=splits["train"].shape[1:], dtype=np.uint8)}
        write_tiny(folder, features, {split: [{"image": x} for x in images] for split, images in splits.items()}, name)
    return folder


def options_of(name: str, few_images: Path) -> list[str]:
    """The options of a chain: the extension's, and what trains and compiles soonest where it leaves that open."""
    options = [option.format(data=few_images) for option in CHAINS[name][1]]
    soonest = {"--train.backend": "xla", "--recipe": "fast", "--train.epochs": "2", "--train.batch-size": "8"}
    return options + [word for pair in soonest.items() if pair[0] not in options for word in pair]


@pytest.fixture
def server():
    """A process for a chain of commands: what they import stays imported until it ends."""
    server = Server()
    yield server
    server.process.communicate()  # closes its standard input, which ends it


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAINS)
def test_every_command_works_with_an_extension(name, few_images, server, tmp_path):
    def run(module: str, *arguments: object) -> str:
        words = (f"jaxae.{module}", "--import", f"tests.extending.{name}", *arguments)
        done = server.run(words, None, 300)
        assert done.status == 0, (words, done.err)
        return done.out

    experiment, run_dir = CHAINS[name][0], tmp_path / "run"
    train = (f"experiments.{experiment}", "--run-dir", run_dir, "--checkpoint-seconds", 0)
    print(run(*train, "--data.dir", few_images, *options_of(name, few_images)))
    before = directory.read_summary(run_dir)
    (run_dir / directory.SUMMARY).unlink()
    (run_dir / "checkpoints" / "2").rename(tmp_path / "2")  # as if it had been killed in the second epoch
    assert "continuing after epoch 1" in run(*train, "--resume")
    summary = directory.read_summary(run_dir)
    assert summary["params_digest"] == before["params_digest"]
    print(run("evaluate", run_dir))
    assert json.loads(run("evaluate", run_dir, "--json"))["test"] == pytest.approx(summary["test"], rel=1e-5)
    run("report", run_dir, "--out", tmp_path / "report.html")
    words = re.sub("<[^>]*>", "", (tmp_path / "report.html").read_text())
    assert f"mnist_denoise --import tests.extending.{name} " in words
    if name not in ("unet", "patches"):  # the others leave the network as it is
        return
    for suffix in ("jax", "onnx"):
        print(run("export", run_dir, tmp_path / f"network.{suffix}"))
    outputs_agree(tmp_path, data.open("cifar10" if experiment == CIFAR else "mnist", few_images).load("test").clean[:2])


def outputs_agree(folder: Path, images: np.ndarray) -> None:
    """Compare the outputs of both exported networks."""
    import onnxruntime

    floats = np.float32(images) / 255
    exported = jax.export.deserialize(bytearray((folder / "network.jax").read_bytes())).call(floats)
    [onnx] = onnxruntime.InferenceSession(folder / "network.onnx").run(None, {"images": floats})
    np.testing.assert_allclose(exported, onnx, atol=1e-5)


@pytest.fixture
def extension(request, monkeypatch):
    """Import an extension as `--import` does, and forget it after the test."""
    module = f"tests.extending.{request.param}"
    monkeypatch.setattr(extensions, "_imported", [])
    monkeypatch.delitem(sys.modules, module, raising=False)
    before = [dict(registry) for registry in REGISTRIES]
    extensions.import_extension(module)
    yield importlib.import_module(module)
    for registry, entries in zip(REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(entries)


@pytest.mark.slow
@pytest.mark.parametrize("extension", ["unet", "patches"], indirect=True)  # what is part of the step
def test_two_members_train_at_once_with_an_extension(extension, few_images, tmp_path):
    name = extension.__name__.rpartition(".")[2]
    config = tyro.cli(Config, args=[*options_of(name, few_images), "--train.epochs", "1"])
    kind = None if config.noise.kind == "auto" else config.noise.kind
    given = sweep.SweepConfig(
        CHAINS[name][0],
        ("0",),
        dataclasses.replace(config.data, limit=64),
        sweep.SweepNoise(kind, ("0.1", "0.2")),
        sweep.SweepTrain(**dataclasses.asdict(config.train) | {"learning_rate": ()}),
        config.recipe,
        config.network,
    )
    members = sweep.train_sweep(given, sweep.SweepLaunch(DataPlace(few_images)), tmp_path / "sweep")
    assert len({member.summary["params_digest"] for member in members}) == 2
    for member in members:
        assert np.isfinite(list(member.summary["test"].values())).all()
        assert trained.load_run(Path(member.name)).epoch == 1
        record = json.loads((Path(member.name) / directory.CONFIG).read_text())
        assert record["imports"] == [extension.__name__]


@pytest.mark.slow
def test_a_run_is_refused_without_its_extension(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "picture.png")
    write_run(tmp_path / "run", "cifar")
    config = tmp_path / "run" / directory.CONFIG
    config.write_text(json.dumps(json.loads(config.read_text()) | {"imports": ["tests.extending.unet"]}))
    for module, *arguments in (
        ("evaluate", tmp_path / "run"),
        ("report", tmp_path / "run"),
        ("embed", tmp_path / "run"),
        ("export", tmp_path / "run", tmp_path / "network.jax"),
        ("denoising", tmp_path / "run", tmp_path / "picture.png", "--out", tmp_path / "out"),
        ("baselines", tmp_path / "run"),
        ("torch_weights", "export", tmp_path / "run", tmp_path / "weights.npz"),
        ("experiments.cifar10_denoise", "--run-dir", tmp_path / "run", "--resume"),
        ("experiments.cifar10_denoise", "--run-dir", tmp_path / "new", "--init-from", tmp_path / "run"),
    ):
        line = refused(command(f"jaxae.{module}", *arguments))
        assert line.endswith("it needs modules of its own: add --import tests.extending.unet"), module


UNKNOWN = {
    "lines": lambda: noise.parse("unknown"),
    "lion": lambda: RECIPES["unknown"],
    "npz": lambda: data.open("unknown:path"),
    "nrmse": lambda: METRICS["unknown"],
    "patches": lambda: ops.resolve_backend("unknown"),
    "r2r": lambda: OBJECTIVES["unknown"],
    "unet": lambda: networks.build("unknown"),
}


@pytest.mark.parametrize("extension", CHAINS, indirect=True)
def test_the_error_about_an_unknown_name_lists_an_extension(extension):
    name = extension.__name__.rpartition(".")[2]
    with pytest.raises(UserError, match=rf"\b{name}\b"):
        UNKNOWN[name]()


@pytest.mark.parametrize("extension", ["unet"], indirect=True)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.usefixtures("extension")
def test_the_unet_computes_the_same_with_every_backend(backend):
    images = jnp.asarray(np.random.default_rng(0).random((3, 36, 28, 3), np.float32))
    params = networks.build("unet", "xla").init(jax.random.key(0), images)["params"]

    def outputs(name: str) -> jax.Array:
        return ops.jit(networks.build("unet", name).apply, name)({"params": params}, images)

    np.testing.assert_allclose(outputs(backend), outputs("xla"), atol=1e-5)


@pytest.mark.parametrize("extension", ["unet"], indirect=True)
@pytest.mark.usefixtures("extension")
def test_the_unet_computes_in_half_precision():
    images = jnp.asarray(np.random.default_rng(0).random((2, 32, 32, 3), np.float32))
    exact, half = (networks.build("unet", "xla", precision) for precision in ("float32", "bfloat16"))
    params = exact.init(jax.random.key(0), images)
    np.testing.assert_allclose(exact.apply(params, images), half.apply(params, images), atol=0.03)


@pytest.mark.parametrize("extension", ["unet"], indirect=True)
@pytest.mark.usefixtures("extension")
def test_the_unet_exchanges_weights_with_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[torch]'")
    from jaxae.torch_weights import from_torch, to_torch

    def norm_conv(channels: int, features: int, stride: int = 1) -> torch.nn.Module:
        conv = torch.nn.Conv2d(channels, features, 3, stride, padding=1)
        return torch.nn.Sequential(OrderedDict(conv=conv, norm=torch.nn.GroupNorm(8, features)))

    class TorchUNet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = norm_conv(3, 16)
            self.down_0, self.down_1 = norm_conv(16, 32, 2), norm_conv(32, 64, 2)
            self.up_0, self.up_1 = (torch.nn.ConvTranspose2d(n, n // 2, 2, 2) for n in (64, 32))
            self.merge_0, self.merge_1 = norm_conv(64, 32), norm_conv(32, 16)
            self.last = torch.nn.Conv2d(16, 3, 3, padding=1)

        def forward(self, x):
            silu = torch.nn.functional.silu
            large = silu(self.first(x))
            middle = silu(self.down_0(large))
            x = silu(self.down_1(middle))
            x = silu(self.merge_0(torch.cat([middle, silu(self.up_0(x))], 1)))
            x = silu(self.merge_1(torch.cat([large, silu(self.up_1(x))], 1)))
            return torch.sigmoid(self.last(x))

    network, twin = networks.build("unet", "xla"), TorchUNet()
    images = jnp.asarray(np.random.default_rng(0).random((2, 32, 32, 3), np.float32))
    state_dict = {key: tensor.numpy() for key, tensor in twin.state_dict().items()}
    params = jax.tree.map(jnp.asarray, from_torch(state_dict, network))
    with torch.no_grad():
        expected = twin(torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(network.apply({"params": params}, images), expected, atol=1e-5)
    for key, array in to_torch(params, network).items():
        np.testing.assert_array_equal(array, state_dict[key])


@pytest.mark.parametrize("extension", ["patches"], indirect=True)
@pytest.mark.parametrize("size", [(1, 1, 0), (2, 1, 1), (1, 2, 0)])
def test_the_patches_are_those_of_the_reference(extension, size):
    stride, padding, output_padding = size
    rng = np.random.default_rng(0)
    x, kernel, bias = (jnp.float32(rng.normal(size=shape)) for shape in ((2, 9, 8, 3), (3, 3, 3, 5), (5,)))
    reference = BACKENDS["xla"]
    for ours, theirs, options in (
        (extension.conv, reference.conv, {}),
        (extension.conv_transpose, reference.conv_transpose, {"output_padding": output_padding}),
    ):
        arguments = {"stride": stride, "padding": padding} | options
        np.testing.assert_allclose(
            ours(x, kernel, bias, **arguments), theirs(x, kernel, bias, **arguments), atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("extension", ["nrmse"], indirect=True)
def test_nrmse_is_that_of_scikit_image(extension):
    from skimage.metrics import normalized_root_mse

    images, targets = np.random.default_rng(0).random((2, 3, 16, 16, 3), np.float32)
    expected = [normalized_root_mse(target, image) for target, image in zip(targets, images, strict=True)]
    np.testing.assert_allclose(extension.nrmse(images, targets), expected, rtol=1e-5)


@pytest.mark.parametrize("extension", ["npz"], indirect=True)
@pytest.mark.usefixtures("extension")
def test_an_archive_may_hold_pairs_and_is_refused_by_name(tmp_path):
    train, test = np.zeros((3, 28, 28, 1), np.uint8), np.ones((2, 28, 28, 1), np.uint8)
    np.savez(tmp_path / "pairs.npz", train=train, test=test, train_noisy=train + 1, test_noisy=test + 1)
    pairs = data.open(f"npz:{tmp_path / 'pairs.npz'}")
    assert pairs.has_pairs
    np.testing.assert_array_equal(pairs.load("test").noisy, test + 1)
    np.savez(tmp_path / "part.npz", train=train)
    with pytest.raises(UserError, match=r"part\.npz has no array 'test'; it has train$"):
        data.open(f"npz:{tmp_path / 'part.npz'}").load("test")
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(UserError, match=r"text\.npz is no archive of arrays: write one with numpy\.savez"):
        data.open(f"npz:{tmp_path / 'text.npz'}")


@pytest.mark.parametrize("extension", ["r2r"], indirect=True)
def test_the_loss_of_r2r_is_that_of_clean_images_in_expectation(extension):
    from jaxae.training import Draws

    clean = jnp.full((2000, 8, 8, 1), 0.3)
    added = noise.parse("gaussian", 0.1)
    keys = jax.random.split(jax.random.key(0), 4)
    indices = jnp.arange(2000, dtype=jnp.int32)
    objective = extension.RecorruptedToRecorrupted()
    batch = objective.prepare(data.Images(clean), added, Draws(*keys, jnp.int32(0), indices))
    losses = objective.losses(lambda noisy: 0.5 * noisy, batch)
    exact = jnp.mean(jnp.square(0.5 * batch[0] - clean))
    assert float(jnp.mean(losses)) == pytest.approx(float(exact), abs=3 * float(jnp.std(losses)) / 2000**0.5)
