"""The parameters of either network to and from the state dict of its PyTorch original, numpy arrays on both sides.

`nn.Conv2d` keeps its weight ``[out, in, height, width]``, `nn.ConvTranspose2d` ``[in, out, height, width]``; kernels
here are ``[height, width, in, out]``, and a transposed layer's is flipped in both spatial axes.
"""

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from jaxae.errors import UserError

Params = dict[str, dict[str, np.ndarray]]

# In the originals' `nn.Sequential`s every layer is followed by its activation, so layer n has number 2n.
_KEY = re.compile(r"(?:.*\.)?(?P<part>encoder|decoder)\.(?P<number>\d*[02468])\.(?P<name>weight|bias)")


def from_torch(state_dict: Mapping[str, ArrayLike]) -> Params:
    """The parameters ``{"encoder_0": {"kernel": …, "bias": …}, …}``, float32, that compute what `state_dict` does.

    state_dict: arrays, or tensors on the CPU, under keys like ``encoder.0.weight``; whatever a wrapper put in front
        (``module.``, ``_orig_mod.``) is passed over.

    Raises UserError for a key that is not a weight or bias of such a network.
    """
    params: Params = {}
    for key, value in state_dict.items():
        match = _KEY.fullmatch(key)
        if not match:
            raise UserError(f"{key!r} is not a key of the PyTorch networks, which look like 'encoder.0.weight'")
        value = np.asarray(value, np.float32)
        layer = params.setdefault(f"{match['part']}_{int(match['number']) // 2}", {})
        if match["name"] == "bias":
            layer["bias"] = value.copy()
        elif match["part"] == "encoder":
            layer["kernel"] = value.transpose(2, 3, 1, 0).copy()
        else:
            layer["kernel"] = value.transpose(2, 3, 0, 1)[::-1, ::-1].copy()
    return params


def to_torch(params: Mapping[str, Mapping[str, ArrayLike]]) -> dict[str, np.ndarray]:
    """The state dict, float32 arrays under keys like ``encoder.0.weight``, that computes what `params` do.

    In PyTorch: ``model.load_state_dict({key: torch.from_numpy(value) for key, value in to_torch(params).items()})``.
    """
    state_dict = {}
    for name, layer in sorted(params.items(), key=lambda item: (item[0].startswith("decoder"), item[0])):
        part, number = name.split("_")
        kernel = np.asarray(layer["kernel"], np.float32)
        weight = kernel.transpose(3, 2, 0, 1) if part == "encoder" else kernel[::-1, ::-1].transpose(2, 3, 0, 1)
        state_dict[f"{part}.{2 * int(number)}.weight"] = weight.copy()
        state_dict[f"{part}.{2 * int(number)}.bias"] = np.array(layer["bias"], np.float32)
    return state_dict
