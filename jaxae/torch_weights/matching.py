"""Which tensor of a state dict belongs to which layer of a network, whatever the keys are called."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxae import models
from jaxae.errors import UserError
from jaxae.torch_weights import to_torch


class Layer(NamedTuple):
    """A convolution's arrays, as PyTorch lays them out."""

    weight: np.ndarray
    bias: np.ndarray

    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of the weight and of the bias, which together tell a transposed layer from one that is not."""
        return self.weight.shape, self.bias.shape

    def __str__(self) -> str:
        return f"weight {_text(self.weight.shape)} and bias {_text(self.bias.shape)}"


def originals_names(state_dict: Mapping[str, np.ndarray], model: str, ordered: bool) -> dict[str, np.ndarray]:
    """`state_dict` under the keys of the original of the network called `model`: ``encoder.0.weight`` and so on.

    A layer goes where its shapes fit and, if its key has a part called encoder or decoder, to that part. Where this
    leaves a choice, as for the two middle layers of CIFAR's network in a plain `nn.Sequential`, the numbers in the
    keys decide, or the order in the file.

    ordered: whether the order of `state_dict` is that of the layers, as in PyTorch's own files.

    Raises UserError for the state dict of another network, and where nothing decides.
    """
    wanted, given = _layers(_zeros(model)), _layers(state_dict)
    fits = {path: [name for name in wanted if _fits(path, layer, name, wanted[name])] for path, layer in given.items()}
    for path, names in fits.items():
        if not names:
            raise UserError(_not_of(model, f"layer {path!r} with {given[path]} has no place in it", given))

    places: dict[str, str] = {}  # by the original's name
    for path in [path for path in fits if len(fits[path]) == 1]:
        _take(places, path, fits[path], model)
    open_paths = [path for path in fits if len(fits[path]) > 1]
    for path in _in_order(open_paths, ordered):
        _take(places, path, fits[path], model)
    missing = [name for name in wanted if name not in places]
    if missing:
        raise UserError(_not_of(model, f"{missing[0]} with {wanted[missing[0]]} is missing", given))
    return {
        f"{name}.{kind}": array
        for name in wanted
        for kind, array in given[places[name]]._asdict().items()
    }  # fmt: skip


def _zeros(model: str) -> dict[str, np.ndarray]:
    network = models.build(model, "xla")
    images = jnp.zeros((1, *network.image_shape))
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), images)["params"])
    return to_torch(jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes))


def _layers(state_dict: Mapping[str, np.ndarray]) -> dict[str, Layer]:
    found: dict[str, dict[str, np.ndarray]] = {}
    for key, array in state_dict.items():
        path, _, kind = key.rpartition(".")
        if kind not in Layer._fields:
            raise UserError(f"{key!r} is neither weight nor bias: the networks have nothing but convolutions with both")
        found.setdefault(path, {})[kind] = array
    for path, layer in found.items():
        for kind in Layer._fields:
            if kind not in layer:
                raise UserError(f"layer {path!r} has no {kind}: every layer of the networks has a weight and a bias")
    return {path: Layer(**layer) for path, layer in found.items()}


def _fits(path: str, layer: Layer, name: str, wanted: Layer) -> bool:
    parts = {"encoder", "decoder"} & set(path.split("."))
    return layer.shapes() == wanted.shapes() and (not parts or name.partition(".")[0] in parts)


def _take(places: dict[str, str], path: str, names: list[str], model: str) -> None:
    free = [name for name in names if name not in places]
    if not free:
        others = " and ".join(repr(places[name]) for name in names)
        raise UserError(
            f"layer {path!r} is one too many: {others} took its place in the {model} network; leave one out"
        )
    places[free[0]] = path


def _in_order(paths: list[str], ordered: bool) -> list[str]:
    """`paths` in the order of their layers; raises UserError where that is not certain."""
    if len(paths) < 2:
        return paths
    by_number = sorted(paths, key=lambda path: [int(number) for number in re.findall(r"\d+", path)])
    numbered = len({re.sub(r"\d+", "#", path) for path in paths}) == 1
    if numbered and (by_number == paths or not ordered):
        return by_number
    if ordered and not numbered:
        return paths
    raise UserError(
        f"{' and '.join(map(repr, paths))} have the same shapes, and which is first is not certain: call them "
        "encoder.2 and decoder.0"
    )


def _not_of(model: str, why: str, given: Mapping[str, Layer]) -> str:
    others = {name: sorted(layer.shapes() for layer in _layers(_zeros(name)).values()) for name in models.MODELS}
    shapes = sorted(layer.shapes() for layer in given.values())
    hint = next(
        (f"; it fits --model {name}" for name, other in others.items() if name != model and other == shapes), ""
    )
    return f"this is no state dict of the {model} network: {why}{hint}"


def _text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a single number"
