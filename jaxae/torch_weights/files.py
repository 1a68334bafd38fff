"""State dicts in files: PyTorch's own format, read without running anything that is in it, and safetensors."""

import io
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxae.errors import UserError

SUFFIXES = (".pt", ".pth", ".safetensors")
WRAPPERS = ("state_dict", "model_state_dict", "model")
MOST_NUMBERS = 2**20  # in a tensor: far more than any layer here has


def check_suffix(path: Path) -> None:
    """Raise UserError for a name that does not say which format it is."""
    if path.suffix not in SUFFIXES:
        raise UserError(f"{path}: state dicts end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")


def check_package(path: Path) -> None:
    """Raise UserError where the package that the format of `path` needs is missing."""
    if path.suffix == ".safetensors":
        _import_safetensors()
    else:
        _import_torch()


def read(path: Path) -> tuple[dict[str, np.ndarray], bool]:
    """The state dict in `path`, float32, and whether it is in the order in which the layers were defined.

    Raises UserError for a file that is not whole, holds anything but tensors, or numbers that are not finite.
    """
    check_suffix(path)
    check_package(path)
    path.open("rb").close()  # an error here is the operating system's, one below the file's own
    ordered = path.suffix != ".safetensors"
    state_dict = _read_torch(path) if ordered else _read_safetensors(path)
    if not state_dict:
        raise UserError(f"{path} holds no tensors")
    for key, array in state_dict.items():
        if not np.isfinite(array).all():
            raise UserError(f"{path}: {key!r} holds numbers that are not finite")
    return state_dict, ordered


def to_bytes(state_dict: Mapping[str, np.ndarray], suffix: str) -> bytes:
    """The content of a file of that suffix."""
    if suffix == ".safetensors":
        return _import_safetensors().save(dict(state_dict), metadata={"format": "pt"})
    torch, buffer = _import_torch(), io.BytesIO()
    torch.save({key: torch.from_numpy(array) for key, array in state_dict.items()}, buffer)
    return buffer.getvalue()


def _import_torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            "PyTorch's files need PyTorch: pip install 'jaxae[torch]', or take a .safetensors file"
        ) from error
    return torch


def _import_safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise UserError(".safetensors files need a package: pip install 'jaxae[safetensors]'") from error
    return safetensors.numpy


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    torch = _import_torch()
    try:
        with warnings.catch_warnings(action="ignore"):  # what follows says in one line what is wrong
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than tensors, or is no PyTorch file; reading it could run code, so it was not read: "
            "save model.state_dict() with torch.save"
        ) from error
    except Exception as error:  # torch raises what it likes
        raise UserError(f"{path} is no PyTorch file, or not a whole one") from error

    def tensors(value: Any) -> bool:
        return isinstance(value, Mapping) and all(isinstance(item, torch.Tensor) for item in value.values())

    for _ in range(2):  # a wrapper in a wrapper is the most that is usual
        if isinstance(content, Mapping) and not tensors(content):
            content = next((content[name] for name in WRAPPERS if isinstance(content.get(name), Mapping)), content)
    if not tensors(content):
        raise UserError(f"{path} holds no state dict: save model.state_dict() with torch.save")
    return {str(key): _to_numpy(path, key, tensor, torch) for key, tensor in content.items()}


def _to_numpy(path: Path, key: str, tensor: Any, torch: Any) -> np.ndarray:
    # the shape is what the file says, before anything of that size is made
    usual = tensor.layout is torch.strided and tensor.is_floating_point() and not tensor.is_meta
    if not usual or tensor.numel() > MOST_NUMBERS:
        shape = "×".join(map(str, tensor.shape))
        raise UserError(f"{path}: {key!r}, {tensor.dtype} of shape {shape}, is no tensor of these networks")
    return tensor.detach().to(torch.float32).numpy()


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    safetensors = _import_safetensors()
    try:
        content = safetensors.load(path.read_bytes())
    except Exception as error:  # its own error class, and KeyError for a type that numpy lacks
        raise UserError(f"{path} is no safetensors file, not a whole one, or of numbers that numpy lacks") from error
    for key, array in content.items():
        if not np.issubdtype(array.dtype, np.floating):
            raise UserError(f"{path}: {key!r}, {array.dtype}, is no tensor of these networks")
    return {key: array.astype(np.float32) for key, array in content.items()}
