"""Parameters from PyTorch's layout and back: the same weights compute the same, with a file in between."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import models
from jaxae.errors import UserError
from jaxae.torch_weights import files, from_torch, to_torch
from tests.small_run import random_params

NAMES = sorted(models.MODELS)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed: pip install 'jaxae[torch]'")


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
    params = jax.tree.map(jnp.asarray, from_torch(files.read_original(path, name)))
    images = np.random.default_rng(0).random((4, *models.MODELS[name].image_shape), np.float32)
    restored = jax.jit(models.build(name, "xla").apply)({"params": params}, images)
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
    path.write_bytes(files.to_bytes(arrays, suffix))
    assert_computes_the_same(torch, network, path, "cifar")


@pytest.mark.parametrize("name", NAMES)
def test_parameters_come_back_exactly(name):
    params = random_params(name)
    back = from_torch({f"_orig_mod.{key}": array for key, array in to_torch(params).items()})
    assert jax.tree.structure(back) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, back, params)


@pytest.mark.parametrize("key", ["conv1.weight", "encoder.1.weight", "encoder.0.running_mean", "n_averaged"])
def test_other_keys_are_refused(key):
    with pytest.raises(UserError, match=f"'{key}' is not a key of the PyTorch networks"):
        from_torch({key: np.zeros((1, 1, 1, 1), np.float32)})
