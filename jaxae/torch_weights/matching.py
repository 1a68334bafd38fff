"""Which array of a state dict belongs to which layer of a network, where its keys are not the network's own."""

import re
from collections.abc import Mapping
from itertools import zip_longest

import numpy as np

from jaxae.errors import UserError
from jaxae.networks import Network
from jaxae.torch_weights import state_dict_shapes

Layers = dict[str, dict[str, tuple[int, ...]]]  # {"encoder.0": {"weight": (8, 3, 3, 3), "bias": (8,)}, …}


def match_keys(state_dict: Mapping[str, np.ndarray], network: Network) -> dict[str, np.ndarray]:
    """`state_dict` under the keys that `to_torch` gives for `network`.

    Prefixes that all keys share, and those of wrappers (``module.``, ``_orig_mod.``), are dropped. The keys are then
    the network's own, or the numbers of one `nn.Sequential`, in which its layers run. Otherwise each layer goes to the
    only place where its shapes fit; a name that starts with enc or dec goes to the encoder or decoder.

    Raises:
        UserError: The state dict is another network's, or it is uncertain which layer is which. The message sets the
            network's layers beside the file's.
    """
    shapes = state_dict_shapes(network)
    given = {re.sub(r"(?<![^.])(module|_orig_mod)\.", "", key): array for key, array in state_dict.items()}
    given = given if len(given) == len(state_dict) else dict(state_dict)  # else keys that differ in this alone
    while given.keys() != shapes.keys() and all(key.count(".") > 1 for key in given):
        if len({key.partition(".")[0] for key in given}) != 1:
            break
        given = {key.partition(".")[2]: array for key, array in given.items()}
    wanted, found = _layers(shapes), _layers({key: array.shape for key, array in given.items()})
    if given.keys() == shapes.keys():
        places = {name: name for name in wanted}
    elif all(map(str.isdecimal, found)):
        places = dict(zip(wanted, sorted(found, key=int), strict=False))
    else:
        places = _by_shape(wanted, found)
    complete = places.keys() == wanted.keys() and sorted(places.values()) == sorted(found)
    if not complete or any(found[place] != wanted[name] for name, place in places.items()):
        raise UserError(_refusal(wanted, found))
    return {f"{name}.{kind}": given[f"{places[name]}.{kind}".lstrip(".")] for name in wanted for kind in wanted[name]}


def _layers(shapes: Mapping[str, tuple[int, ...]]) -> Layers:
    layers: Layers = {}
    for key, shape in shapes.items():
        name, _, kind = key.rpartition(".")
        layers.setdefault(name, {})[kind] = shape
    return layers


def _by_shape(wanted: Layers, given: Layers) -> dict[str, str]:
    """The layer for each of `wanted` that has one candidate."""
    fitting = {
        name: [path for path in given if given[path] == wanted[name] and _side(path) in (None, _side(name))]
        for name in wanted
    }
    return {name: paths[0] for name, paths in fitting.items() if len(paths) == 1}


def _side(name: str) -> str | None:
    sides = set(re.findall(r"(?<![a-z])(enc|dec)", name.lower()))
    return sides.pop() if len(sides) == 1 else None


def _refusal(wanted: Layers, given: Layers) -> str:
    ours, theirs = ([f"{name}: {_text(layer)}" for name, layer in layers.items()] for layers in (wanted, given))
    if sorted(map(_text, wanted.values())) == sorted(map(_text, given.values())):
        problem = "its names do not say which layer is which: in its keys, rename each to the layer that it computes"
    else:
        problem = "its layers are not those of the network: name the network that it is for, or save these layers alone"
    most, width = len(ours) + 10, max(map(len, ours))
    theirs[most:] = [f"and {len(theirs) - most} more"] if len(theirs) > most else []
    rows = [f"{one:{width}} | {other}".rstrip() for one, other in zip_longest(ours, theirs, fillvalue="")]
    return "\n".join([f"{problem} (the network's | the file's)", *rows])


def _text(layer: Mapping[str, tuple[int, ...]]) -> str:
    parts = sorted(layer.items(), reverse=True)
    return ", ".join(f"{kind} {'×'.join(map(str, shape)) or 'of no axes'}" for kind, shape in parts)
