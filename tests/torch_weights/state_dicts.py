"""State dicts of random weights, under the originals' keys and under others."""

import numpy as np

from jaxae import networks
from jaxae.torch_weights import to_torch
from tests.small_run import random_params


def state_dict_of(network: str) -> dict[str, np.ndarray]:
    """That of the network called `network`."""
    return to_torch(random_params(network), networks.build(network, "xla"))


def sequential(state_dict: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The keys of one `nn.Sequential` of all layers."""
    count = len({key.split(".")[1] for key in state_dict if key.startswith("encoder")})
    start = {"encoder": 0, "decoder": 2 * count}
    parts = ((key.split("."), array) for key, array in state_dict.items())
    return {f"{start[part] + int(number)}.{kind}": array for (part, number, kind), array in parts}


def named(state_dict: dict[str, np.ndarray], names: str) -> dict[str, np.ndarray]:
    """`state_dict` with its layers called `names`, in the order in which they run."""
    layers = list(dict.fromkeys(key.rpartition(".")[0] for key in state_dict))
    new = dict(zip(layers, names.split(), strict=True))
    return {f"{new[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": array for key, array in state_dict.items()}


def declared(state_dict: dict[str, np.ndarray], names: str) -> dict[str, np.ndarray]:
    """`state_dict` with its layers in the order of `names`, in which they were declared."""
    return {f"{name}.{kind}": state_dict[f"{name}.{kind}"] for name in names.split() for kind in ("weight", "bias")}
