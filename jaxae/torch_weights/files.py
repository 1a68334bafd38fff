"""State dicts in files: PyTorch's own format, read without running anything that is in it, safetensors, and .npz."""

import io
import math
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxae.errors import UserError
from jaxae.torch_weights import matching

SUFFIXES = (".pt", ".pth", ".bin", ".safetensors", ".npz")  # to write; .bin is Hugging Face's name for PyTorch's format
READABLE = (*SUFFIXES, ".ckpt")  # Lightning's checkpoints hold more than a state dict
DEPTH = 4  # dictionaries and lists around a state dict: one or two are usual
FLOATS = ("float64", "float32", "float16", "bfloat16")
MOST_NUMBERS = 2**20  # in a tensor: far more than any layer here has
# What may stand beside the layers and computes nothing: torch.optim.swa_utils.AveragedModel counts its updates.
HARMLESS = ("n_averaged",)

Place = tuple[str | int, ...]  # keys and indices, outermost first


class Stored(NamedTuple):
    """What a file says of a tensor, and how to get it: a false shape is found out before memory is taken for it."""

    dtype: str  # as numpy calls it
    shape: tuple[int, ...]
    load: Callable[[], np.ndarray]


def check_suffix(path: Path, suffixes: tuple[str, ...] = SUFFIXES) -> None:
    """Raise UserError for a name that does not say which format it is."""
    if path.suffix not in suffixes:
        raise UserError(f"{path}: state dicts end in {', '.join(suffixes[:-1])} or {suffixes[-1]}")


def check_package(path: Path) -> None:
    """Raise UserError where the package that the format of `path` needs is missing."""
    if path.suffix == ".safetensors":
        _import_safetensors()
    elif path.suffix != ".npz":
        _import_torch()


def read_original(path: Path, model: str) -> dict[str, np.ndarray]:
    """The state dict in `path`, float32, under the keys of the original of the network called `model`.

    Raises UserError, which names the file, where `read` does and where `matching.originals_names` does.
    """
    state_dict, ordered = read(path)
    try:
        return matching.originals_names(state_dict, model, ordered)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def read(path: Path) -> tuple[dict[str, np.ndarray], bool]:
    """The state dict in `path`, float32, and whether it is in the order in which the layers were defined.

    Raises UserError for a file that is not whole, holds no state dict or several, anything in one that is no tensor,
    or numbers that are not finite.
    """
    check_suffix(path, READABLE)
    check_package(path)
    path.open("rb").close()  # an error here is the operating system's, one below the file's own
    readers = {".safetensors": _read_safetensors, ".npz": _read_npz}
    tensors = readers.get(path.suffix, _read_torch)(path)
    state_dict = {
        key: _floats(path, key, stored)
        for key, stored in tensors.items()
        if key.rpartition(".")[2] not in HARMLESS
    }  # fmt: skip
    if not state_dict:
        raise UserError(f"{path} holds no tensors: save model.state_dict()")
    return state_dict, path.suffix != ".safetensors"


def to_bytes(state_dict: Mapping[str, np.ndarray], suffix: str) -> bytes:
    """The content of a file of that suffix."""
    if suffix == ".safetensors":
        return _import_safetensors().numpy.save(dict(state_dict), metadata={"format": "pt"})
    buffer = io.BytesIO()
    if suffix == ".npz":
        np.savez(buffer, **state_dict)
    else:
        torch = _import_torch()
        torch.save({key: torch.from_numpy(array) for key, array in state_dict.items()}, buffer)
    return buffer.getvalue()


def _import_torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            "PyTorch's files need PyTorch: pip install 'jaxae[torch]', or take a .safetensors or .npz file"
        ) from error
    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6):  # CVE-2025-32434
        raise UserError(
            f"PyTorch {torch.__version__} can be made to run code by a file that it reads: pip install 'torch>=2.6'"
        )
    return torch


def _import_safetensors() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise UserError(".safetensors files need a package: pip install 'jaxae[safetensors]'") from error
    return safetensors


def _floats(path: Path, key: str, stored: Stored) -> np.ndarray:
    if stored.dtype not in FLOATS or math.prod(stored.shape) > MOST_NUMBERS:
        raise UserError(
            f"{path}: {key!r}, {stored.dtype} of shape {matching.shape_text(stored.shape)}, is no weight or bias of "
            "these networks: if they compute the same without it, save the state dict without it"
        )
    with np.errstate(over="ignore"):  # it becomes infinite, and that is said below
        array = stored.load().astype(np.float32)
    if not np.isfinite(array).all():
        raise UserError(f"{path}: {key!r} holds numbers that are not finite in float32: save weights that are")
    return array


def _read_torch(path: Path) -> dict[str, Stored]:
    torch = _import_torch()
    try:
        with warnings.catch_warnings(action="ignore"):  # what follows says in one line what is wrong
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))  # the name of a class or function
        raise _unread(path, refused[1] if refused else None) from error
    except Exception as error:  # torch raises what it likes
        if "TorchScript" in str(error):
            raise _unread(path, "TorchScript") from error
        raise UserError(f"{path} is no PyTorch file, or not a whole one: save it again with torch.save") from error
    stored = {}
    for key, tensor in _only_state_dict(path, content, torch.Tensor).items():
        if not isinstance(key, str) or not isinstance(tensor, torch.Tensor):
            raise UserError(f"{path}: {key!r} in the state dict is no tensor: save model.state_dict() as it is")
        kind = "meta" if tensor.is_meta else tensor.dtype if tensor.layout is torch.strided else tensor.layout
        load = partial(lambda tensor: tensor.detach().to(torch.float32).numpy(), tensor)
        stored[key] = Stored(str(kind).removeprefix("torch."), tuple(tensor.shape), load)
    return stored


def _unread(path: Path, found: str | None) -> UserError:
    what = f"holds more than tensors ({found})" if found else "holds more than tensors, or is no PyTorch file"
    remedy = "torch.save(model.state_dict(), 'weights.pt')"
    if path.suffix == ".ckpt":
        whole = f"torch.load({path.name!r}, weights_only=False)"
        remedy += f", or, if you trust the file, torch.save({whole}['state_dict'], 'weights.pt')"
    return UserError(f"{path} {what}; reading it could run code, so it was not read: save the state dict, {remedy}")


def _only_state_dict(path: Path, content: Any, tensor: type) -> Mapping[Any, Any]:
    """The one state dict in `content`; that of an encoder and that of a decoder are one."""
    found = _state_dicts(content, tensor)
    if not found:
        raise UserError(f"{path} holds no state dict: torch.save(model.state_dict(), {path.name!r})")
    if len(found) == 1:
        return next(iter(found.values()))
    named = {".".join(map(str, place)): part for place, part in found.items()}
    if {matching.sides(name) for name in named} == {("encoder",), ("decoder",)}:
        return {f"{name}.{key}": value for name, part in named.items() for key, value in part.items()}
    places = ["".join(f"[{name!r}]" for name in place) for place in found]
    raise UserError(
        f"{path} holds {len(places)} state dicts, {' and '.join(places[:3])}{' …' * (len(places) > 3)}: save the one "
        f"that is meant, as in torch.save(torch.load({path.name!r}){places[0]}, 'weights.pt')"
    )


def _state_dicts(content: Any, tensor: type) -> dict[Place, Mapping[Any, Any]]:
    """Each dictionary that holds tensors called weight or bias, as optimizers' do not, by the keys that lead to it."""
    found: dict[Place, Mapping[Any, Any]] = {}
    seen: set[int] = set()  # a pickle may hold itself
    level: list[tuple[Place, Any]] = [((), content)]
    for _ in range(DEPTH + 1):
        below: list[tuple[Place, Any]] = []
        for place, value in level:
            if id(value) in seen or not isinstance(value, Mapping | list | tuple):
                continue
            seen.add(id(value))
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            items = [(name, item) for name, item in items if isinstance(name, str | int)]
            if any(_is_layers(name) and isinstance(item, tensor) for name, item in items):
                found[place] = value
            else:
                below += [((*place, name), item) for name, item in items]
        level = below
    return found


def _is_layers(name: str | int) -> bool:
    return str(name).rpartition(".")[2] in matching.Layer._fields


def _read_safetensors(path: Path) -> dict[str, Stored]:
    package = _import_safetensors()
    try:
        content = package.deserialize(path.read_bytes())
    except package.SafetensorError as error:
        raise UserError(f"{path} is no safetensors file, or not a whole one: save it again") from error
    # safetensors.numpy.load knows no bfloat16, which is numpy's once JAX is there
    names = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    stored = {}
    for key, entry in content:
        dtype, shape = names.get(entry["dtype"], entry["dtype"]), tuple(entry["shape"])
        stored[key] = Stored(dtype, shape, partial(_from_buffer, entry["data"], dtype, shape))
    return stored


def _from_buffer(data: bytes | bytearray, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(data, jnp.dtype(dtype)).reshape(shape)


def _read_npz(path: Path) -> dict[str, Stored]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            large = any(entry.file_size > 16 * MOST_NUMBERS for entry in content.zip.infolist())
            arrays = {} if large else {name: content[name] for name in content.files}
            stored = {name: Stored(array.dtype.name, array.shape, array.copy) for name, array in arrays.items()}
    except Exception as error:  # numpy, zipfile and zlib raise what they like
        raise UserError(
            f"{path} is no .npz file of numbers, or not a whole one: "
            "numpy.savez(FILE, **{key: tensor.numpy() for key, tensor in model.state_dict().items()})"
        ) from error
    if large:
        raise UserError(f"{path} holds arrays far larger than the networks' weights: save these alone")
    return stored
