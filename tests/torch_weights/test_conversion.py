"""Parameters from PyTorch's layout and back: the same weights compute the same, with a file in between."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxae import networks
from jaxae.errors import UserError
from jaxae.layers import Conv, ConvTranspose
from jaxae.ops import xla
from jaxae.torch_weights import files, from_torch, state_dict_shapes, to_torch
from jaxae.tracing import list_layers
from tests.small_run import random_params

NAMES = ["cifar", "mnist"]


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[torch]'")


@pytest.fixture
def originals(torch):
    """The PyTorch networks by name."""
    path = Path(__file__).parents[2] / "benchmarks" / "torch_models.py"
    spec = importlib.util.spec_from_file_location("torch_models", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.NETWORKS


def out_of_order(torch):
    """CIFAR's network as people write it: layers by name, declared in another order than they run in."""

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.enc1, self.dec1 = torch.nn.Conv2d(3, 8, 3), torch.nn.ConvTranspose2d(8, 8, 3)
            self.dec2, self.enc2 = torch.nn.ConvTranspose2d(8, 3, 3), torch.nn.Conv2d(8, 8, 3)

        def forward(self, x):
            return self.dec2(self.dec1(self.enc2(self.enc1(x).relu()).relu()).relu()).sigmoid()

    return Network()


def assert_computes_the_same(torch, network, path: Path, name: str) -> None:
    """`network` and that made of the state dict in `path` give the same outputs for random images."""
    ours = networks.build(name, "xla")
    params = jax.tree.map(jnp.asarray, from_torch(files.read_weights(path, ours), ours))
    images = np.random.default_rng(0).random((4, *networks.NETWORKS[name].image_shape), np.float32)
    restored = jax.jit(ours.apply)({"params": params}, images)
    with torch.no_grad():
        expected = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy().transpose(0, 2, 3, 1)
    assert expected.std() > 1e-3
    np.testing.assert_allclose(restored, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_pytorchs(torch, originals, tmp_path, name):
    torch.manual_seed(0)
    network, path = originals[name](), tmp_path / "model.pt"
    torch.save({"model_state_dict": {f"module.{key}": value for key, value in network.state_dict().items()}}, path)
    assert_computes_the_same(torch, network, path, name)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
def test_outputs_are_pytorchs_whatever_the_order_of_declaration(torch, tmp_path, suffix):
    torch.manual_seed(0)
    network, path = out_of_order(torch), tmp_path / f"model{suffix}"
    arrays = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    assert list(arrays)[:4] == ["enc1.weight", "enc1.bias", "dec1.weight", "dec1.bias"]
    path.write_bytes(files.state_dict_bytes(arrays, suffix))
    assert_computes_the_same(torch, network, path, "cifar")


@pytest.mark.parametrize("name", NAMES)
def test_parameters_come_back_exactly(name):
    params, network = random_params(name), networks.build(name, "xla")
    back = from_torch(to_torch(params, network), network)
    assert jax.tree.structure(back) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, back, params)


def test_keys_are_in_order_of_execution():
    class Long(networks.Autoencoder):
        image_shape = (8, 8, 1)

        def encoder_layers(self):
            return [Conv(self.ops, 1, 1, 1) for _ in range(11)]

        def decoder_layers(self):
            return [ConvTranspose(self.ops, 1, 1, 1) for _ in range(11)]

    keys = [
        f"{part}.{2 * n}.{kind}" for part in ("encoder", "decoder") for n in range(11) for kind in ("weight", "bias")
    ]
    assert list(state_dict_shapes(Long("xla"))) == keys


class UNet(networks.Network):
    """Layers of Linen and of jaxae, called in another order than they are defined in, and a module with layers."""

    image_shape = (8, 8, 3)

    def setup(self):
        self.last = ConvTranspose(xla.BACKEND, 8, 3, 3, padding=1)
        self.down = nn.Sequential([nn.Conv(4, (3, 3), use_bias=False), nn.silu, nn.GroupNorm(2)])

    def __call__(self, images):
        x = self.down(images)
        return self.last(jnp.concatenate([x, nn.silu(x)], axis=-1))


class TorchUNet:
    """The same in PyTorch."""

    def __new__(cls, torch):
        class Network(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.down = torch.nn.Module()
                self.down.layers_0 = torch.nn.Conv2d(3, 4, 3, padding=1, bias=False)
                self.down.layers_2 = torch.nn.GroupNorm(2, 4, eps=1e-6)
                self.last = torch.nn.ConvTranspose2d(8, 3, 3, padding=1)

            def forward(self, images):
                x = self.down.layers_2(torch.nn.functional.silu(self.down.layers_0(images)))
                return self.last(torch.cat([x, torch.nn.functional.silu(x)], 1))

        return Network()


def test_any_network_of_convolutions_and_group_norm(torch):
    network, images = UNet(), np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    params = jax.tree.map(
        lambda leaf: np.random.default_rng(1).uniform(-0.5, 0.5, leaf.shape).astype(np.float32),
        network.init(jax.random.key(0), images)["params"],
    )
    assert [layer.path for layer in list_layers(network)] == [("down", "layers_0"), ("down", "layers_2"), ("last",)]
    state_dict = to_torch(params, network)
    theirs = TorchUNet(torch)
    theirs.load_state_dict({key: torch.from_numpy(array) for key, array in state_dict.items()})
    with torch.no_grad():
        expected = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(jax.jit(network.apply)({"params": params}, images), expected, rtol=0, atol=1e-5)
    back = from_torch(state_dict, network)
    jax.tree.map(np.testing.assert_array_equal, back, params)


def test_a_parameter_of_another_kind_is_refused():
    class Dense(networks.Network):
        image_shape = (8, 8, 3)

        @nn.compact
        def __call__(self, images):
            return nn.Dense(3, name="mix")(images)

    with pytest.raises(UserError, match=r"the parameter 'mix.kernel' of a Dense cannot be exchanged with PyTorch"):
        state_dict_shapes(Dense())


@pytest.mark.parametrize("key", ["conv1.weight", "encoder.1.weight", "module.encoder.0.weight"])
def test_other_keys_are_refused(key):
    network = networks.build("cifar", "xla")
    state_dict = to_torch(random_params("cifar"), network)
    with pytest.raises(UserError, match=f"'{key}' is missing or too many: the network's keys are encoder.0.weight, "):
        from_torch(state_dict | {key: np.zeros(3)}, network)
    with pytest.raises(UserError, match=r"'encoder.0.weight' is missing"):
        from_torch(dict(list(state_dict.items())[1:]), network)
    with pytest.raises(UserError, match=r"'encoder.0.bias' has the shape \(3,\); the network's is \(8,\)"):
        from_torch(state_dict | {"encoder.0.bias": np.zeros(3)}, network)
