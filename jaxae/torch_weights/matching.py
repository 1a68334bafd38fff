"""Which tensor of a state dict belongs to which layer of a network, whatever the keys are called."""

import re
from collections.abc import Iterable, Mapping
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
        return f"weight {shape_text(self.weight.shape)} and bias {shape_text(self.bias.shape)}"


# In these networks the transposed layers are the decoder's. "up" stands alone or before what goes up: not "update".
_SIDES = {
    "encoder": re.compile(r"(?<![a-z])(enc|down)"),
    "decoder": re.compile(
        r"(?<![a-z])(dec|up(?![a-z])|up(?=conv|sampl|scal|block|layer)"
        r"|t_?conv|conv_?t(?![a-z])|(conv)?trans(pos|(?![a-z])))"
    ),
}


def sides(name: str) -> tuple[str, ...]:
    """Which of encoder and decoder `name` speaks of: ``enc1`` and ``downConv`` of the one, ``dec_2``, ``up1`` and
    ``convT2`` of the other, ``conv1`` of none.
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    return tuple(side for side, pattern in _SIDES.items() if pattern.search(words))


def originals_names(state_dict: Mapping[str, np.ndarray], model: str, ordered: bool) -> dict[str, np.ndarray]:
    """`state_dict` under the keys of the original of the network called `model`: ``encoder.0.weight`` and so on.

    A layer goes where its shapes fit and, if its key speaks of an encoder or a decoder (`sides`), to that part. Where
    this leaves a choice, as for the two middle layers of CIFAR's network in a plain `nn.Sequential`, the numbers in the
    keys decide. The order of the file alone does not: layers need not be defined in the order in which they run.

    ordered: whether the order of `state_dict` is that of definition, as in PyTorch's own files; numbers that
        contradict it decide nothing.

    Raises UserError for the state dict of another network, and where nothing decides.
    """
    wanted, given = _layers(_zeros(model)), _layers(state_dict)
    parts = _parts(given)
    fits = {
        path: [name for name in wanted if _fits(layer, parts[path], name, wanted[name])]
        for path, layer in given.items()
    }  # fmt: skip
    for path, names in fits.items():
        if not names:
            part = f"its {parts[path]}, of which the name speaks" if parts[path] else "it"
            raise UserError(_not_of(model, f"layer {path!r} with {given[path]} has no place in {part}", given))

    places: dict[str, str] = {}  # by the original's name
    for path in [path for path in fits if len(fits[path]) == 1]:
        _take(places, path, fits[path], model)
    open_paths = [path for path in fits if len(fits[path]) > 1]
    free = [name for name in wanted if name not in places and any(name in fits[path] for path in open_paths)]
    choice = 1 < len(open_paths) <= len(free)
    if choice:
        open_paths = _by_number(open_paths, free, ordered)
    for path in open_paths:
        _take(places, path, fits[path], model)
    if choice and not _runs_by_number(open_paths[0], [places[name] for name in wanted if name in places]):
        raise _uncertain(open_paths, free)
    missing = [name for name in wanted if name not in places]
    if missing:
        raise UserError(_not_of(model, f"{missing[0]} with {wanted[missing[0]]} is missing", given))
    return {
        f"{name}.{kind}": array
        for name in wanted
        for kind, array in given[places[name]]._asdict().items()
    }  # fmt: skip


def shape_text(shape: tuple[int, ...]) -> str:
    """`shape` in a message."""
    return "×".join(map(str, shape)) or "a single number"


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
            raise UserError(
                f"{key!r} is neither weight nor bias: the networks have nothing but convolutions with both; "
                "if they compute the same without it, save the state dict without it"
            )
        found.setdefault(path, {})[kind] = array
    for path, layer in found.items():
        for kind in Layer._fields:
            if kind not in layer:
                raise UserError(f"layer {path!r} has no {kind}: every layer of the networks has a weight and a bias")
    return {path: Layer(**layer) for path, layer in found.items()}


def _parts(paths: Iterable[str]) -> dict[str, str | None]:
    """Whether each of `paths` is of the encoder or of the decoder, or None where its name does not say."""
    split = {path: path.split(".") for path in paths}
    # what stands in every key says nothing of one of them
    in_all = {part for parts in split.values() for part in parts if all(part in other for other in split.values())}
    said = {path: [sides(part) for part in parts if part not in in_all] for path, parts in split.items()}
    clear = {path: {found[0] for found in every if len(found) == 1} for path, every in said.items()}
    return {path: found.pop() if len(found) == 1 else None for path, found in clear.items()}


def _fits(layer: Layer, part: str | None, name: str, wanted: Layer) -> bool:
    return layer.shapes() == wanted.shapes() and part in (None, name.partition(".")[0])


def _take(places: dict[str, str], path: str, names: list[str], model: str) -> None:
    free = [name for name in names if name not in places]
    if not free:
        others = " and ".join(repr(places[name]) for name in names)
        raise UserError(
            f"layer {path!r} is one too many: {others} took its place in the {model} network; leave one out"
        )
    places[free[0]] = path


def _by_number(paths: list[str], free: list[str], ordered: bool) -> list[str]:
    """`paths` in the order of the numbers in them; raises UserError where that need not be the layers' order."""
    by_number = sorted(paths, key=_numbers)
    if len(set(map(_pattern, paths))) > 1 or (ordered and by_number != paths):
        raise _uncertain(paths, free)
    return by_number


def _runs_by_number(path: str, in_order: list[str]) -> bool:
    """Whether all layers that are numbered like `path` run in the order of their numbers."""
    alike = [other for other in in_order if _pattern(other) == _pattern(path)]
    return alike == sorted(alike, key=_numbers)


def _pattern(path: str) -> str:
    return re.sub(r"\d+", "#", path)


def _numbers(path: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path)]


def _uncertain(paths: list[str], free: list[str]) -> UserError:
    return UserError(
        f"{' and '.join(map(repr, paths))} have the same shapes, and the names do not say which runs first: "
        f"rename them, in the order in which they run, {' and '.join(free)} (keys {free[0]}.weight, {free[0]}.bias …)"
    )


def _not_of(model: str, why: str, given: Mapping[str, Layer]) -> str:
    others = {name: sorted(layer.shapes() for layer in _layers(_zeros(name)).values()) for name in models.MODELS}
    shapes = sorted(layer.shapes() for layer in given.values())
    hint = next(
        (f"; it fits --model {name}" for name, other in others.items() if name != model and other == shapes), ""
    )
    return f"this is no state dict of the {model} network: {why}{hint or '; rename or leave out what is not its own'}"
