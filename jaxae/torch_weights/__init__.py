"""A network's parameters as a PyTorch state dict, and back; NumPy arrays on both sides.

PyTorch lays out the weight of `nn.Conv2d` as ``[out, in, height, width]`` and that of `nn.ConvTranspose2d` as
``[in, out, height, width]``. Kernels here are ``[height, width, in, out]``, those of transposed convolutions flipped in
both spatial axes.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from numpy.typing import ArrayLike

from jaxae.errors import UserError
from jaxae.layers import Conv, ConvTranspose
from jaxae.networks import Autoencoder, Network
from jaxae.tracing import list_layers, params_like

# For each kind of layer and each of its parameters: the name in PyTorch, and the parameter's axes in PyTorch's order.
_CONV = {"kernel": ("weight", (3, 2, 0, 1)), "bias": ("bias", (0,))}
_LAYOUTS = {
    ConvTranspose: _CONV | {"kernel": ("weight", (2, 3, 0, 1))},
    Conv: _CONV,
    nn.Conv: _CONV,
    nn.GroupNorm: {"scale": ("weight", (0,)), "bias": ("bias", (0,))},
}


class _Entry(NamedTuple):
    """An array of a state dict: the parameter that it is, its axes in PyTorch's order, its shape, if it is flipped."""

    path: tuple[str, ...]
    axes: tuple[int, ...]
    shape: tuple[int, ...]
    flipped: bool


def to_torch(params: Mapping[str, Any], network: Network) -> dict[str, np.ndarray]:
    """The state dict, float32, of `network` with the parameters `params`.

    Its keys are those of the original network for an `Autoencoder` (``encoder.0.weight``), where every layer in an
    `nn.Sequential` is followed by its activation; else the parameters' paths joined by dots. In PyTorch:
    ``model.load_state_dict({key: torch.from_numpy(value) for key, value in to_torch(params, network).items()})``.

    Raises:
        UserError: The network has parameters of a kind that this module does not know in PyTorch.
    """
    state_dict, flat = {}, flatten_dict(params)
    for key, (path, axes, _, flipped) in _entries(network).items():
        array = np.asarray(flat[path], np.float32)
        state_dict[key] = (array[::-1, ::-1] if flipped else array).transpose(axes).copy()
    return state_dict


def from_torch(state_dict: Mapping[str, ArrayLike], network: Network) -> dict[str, Any]:
    """The parameters, float32, with which `network` computes what `state_dict` does.

    Args:
        state_dict: Arrays, or tensors on the CPU, under exactly the keys that `to_torch` gives; `matching.match_keys`
            finds them for other ones.
        network: The network.

    Raises:
        UserError: A key is missing or unknown, or an array has another shape.
    """
    entries = _entries(network)
    if different := sorted(state_dict.keys() ^ entries.keys()):
        raise UserError(f"{different[0]!r} is missing or too many: the network's keys are {', '.join(entries)}")
    params = {}
    for key, (path, axes, shape, flipped) in entries.items():
        array = np.asarray(state_dict[key], np.float32)
        if array.shape != shape:
            raise UserError(f"{key!r} has the shape {array.shape}; the network's is {shape}")
        array = array.transpose(np.argsort(axes))
        params[path] = (array[::-1, ::-1] if flipped else array).copy()
    return unflatten_dict(params)


def state_dict_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """The shapes of the arrays that `to_torch` gives for `network`, by their keys."""
    return {key: entry.shape for key, entry in _entries(network).items()}


def _entries(network: Network) -> dict[str, _Entry]:
    """The arrays of a state dict by their keys, in order of execution, each layer's weight before its bias."""
    shapes: dict[Any, Any] = flatten_dict(params_like(network))
    entries = {}
    for path, module in list_layers(network):
        layout = next((layout for kind, layout in _LAYOUTS.items() if isinstance(module, kind)), {})
        names = [each[-1] for each in shapes if each[:-1] == path]
        for name in sorted(names, key=lambda name: name == "bias"):
            (kind, axes), shape = layout.get(name, ("", ())), shapes[(*path, name)].shape
            if len(axes) != len(shape):
                raise UserError(
                    f"the parameter {'.'.join((*path, name))!r} of a {type(module).__name__} cannot be exchanged with "
                    "PyTorch: those of convolutions, of transposed convolutions of jaxae and of GroupNorm can"
                )
            key = ".".join(path)
            if isinstance(network, Autoencoder) and (place := re.fullmatch(r"(encoder|decoder)_(\d+)", key)):
                key = f"{place[1]}.{2 * int(place[2])}"
            flipped = isinstance(module, ConvTranspose) and name == "kernel"
            entries[f"{key}.{kind}"] = _Entry((*path, name), axes, tuple(shape[axis] for axis in axes), flipped)
    return entries
