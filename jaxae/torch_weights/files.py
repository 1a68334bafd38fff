"""State dicts in files: PyTorch's own format, read without running any code in it, safetensors, and .npz."""

import io
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from jaxae.errors import UserError
from jaxae.networks import Network
from jaxae.torch_weights.matching import match_keys

SUFFIXES = (".pt", ".pth", ".bin", ".safetensors", ".npz")  # to write; .bin is Hugging Face's name for PyTorch's format
COUNTER = "n_averaged"  # of torch.optim.swa_utils.AveragedModel; computes nothing
DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": jnp.bfloat16}  # of safetensors


def read_weights(path: Path, network: Network) -> dict[str, np.ndarray]:
    """The state dict in `path`, float32, under the keys that `torch_weights.to_torch` gives for `network`.

    Raises:
        UserError: The file cannot be read (see `read_state_dict`) or is not of this network (see `match_keys`).
    """
    state_dict = read_state_dict(path)
    try:
        return match_keys(state_dict, network)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """The state dict in `path`, float32. The content decides the format, not the suffix.

    A file of PyTorch's holds the state dict, or a dictionary with one state dict in it, or one of an encoder and one of
    a decoder under keys that start with enc and dec.

    Raises:
        UserError: The file is not whole, holds no state dict or several, something other than floating-point arrays,
            or values that are not finite.
    """
    with path.open("rb") as file:  # an error here is the operating system's
        head = file.read(9)
    try:
        if head[8:] == b"{" and int.from_bytes(head[:8], "little") < 10**8:  # the length of a header in JSON
            arrays = _read_safetensors(path)
        elif head.startswith(b"PK") and all(name.endswith(".npy") for name in zipfile.ZipFile(path).namelist()):
            arrays = _read_npz(path)
        else:
            arrays = _read_torch(path)  # refuses what is none of the three
    except UserError:
        raise
    except Exception as error:  # torch, numpy and zipfile raise many kinds
        why = "is no state dict of PyTorch, safetensors or numpy.savez, or not a whole one"
        if isinstance(error, pickle.UnpicklingError):
            refused = re.search(r"GLOBAL ([\w.]+)", str(error))  # the name of a class or function
            why = f"holds more than tensors ({refused[1] if refused else 'objects'})"
        raise UserError(
            f"{path} {why}; code in a file is never run: save the state dict, torch.save(model.state_dict(), "
            "'weights.pt'), or, from a checkpoint of Lightning's that you trust, "
            f"torch.save(torch.load({path.name!r}, weights_only=False)['state_dict'], 'weights.pt')"
        ) from error
    state_dict = {}
    for key, array in arrays.items():
        if key.rpartition(".")[2] == COUNTER:
            continue
        with np.errstate(over="ignore"):  # becomes infinite
            is_float = jnp.issubdtype(array.dtype, jnp.floating)
            state_dict[key] = array.astype(np.float32) if is_float else np.array(np.nan)
        if not np.isfinite(state_dict[key]).all():
            raise UserError(
                f"{path}: {key!r} of shape {array.shape} is not made of finite float32 values: "
                "if the network computes the same without it, save the state dict without it"
            )
    if not state_dict:
        raise UserError(f"{path} holds no tensors: save model.state_dict()")
    return state_dict


def state_dict_bytes(state_dict: Mapping[str, np.ndarray], suffix: str) -> bytes:
    """The content of a file that ends in `suffix`.

    Raises:
        UserError: The suffix is none of `SUFFIXES`, or PyTorch, which its format needs, is not installed.
    """
    suffix = suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"state dicts end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}, not in {suffix!r}")
    if suffix == ".safetensors":
        return safetensors.numpy.save(dict(state_dict), metadata={"format": "pt"})
    buffer = io.BytesIO()
    if suffix == ".npz":
        np.savez(buffer, **state_dict)  # pyright: ignore[reportArgumentType]
    else:
        torch = _import_torch()
        torch.save({key: torch.from_numpy(array) for key, array in state_dict.items()}, buffer)
    return buffer.getvalue()


def _import_torch(what: str = "PyTorch's files need") -> Any:
    try:
        import torch
    except ImportError as error:
        remedy = "pip install -e '.[torch]', or take a .safetensors or .npz file"
        raise UserError(f"{what} PyTorch: {remedy}") from error
    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6):  # CVE-2025-32434
        raise UserError(f"PyTorch {torch.__version__} can run code in a file that it reads: pip install 'torch>=2.6'")
    return torch


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    torch = _import_torch(f"{path} is neither safetensors nor .npz, and needs")
    # a file, since torch reads a path that ends in .safetensors by other means
    with path.open("rb") as file, warnings.catch_warnings(action="ignore"):
        content = torch.load(file, map_location="cpu", weights_only=True)
    arrays = {}
    for key, tensor in _find_state_dict(path, content, torch.Tensor).items():
        if not isinstance(tensor, torch.Tensor) or tensor.layout is not torch.strided or tensor.is_meta:
            raise UserError(f"{path}: {key!r} in the state dict is no tensor of values: save model.state_dict() alone")
        tensor = tensor.detach()
        arrays[key] = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
    return arrays


def _find_state_dict(path: Path, content: Any, tensor: type) -> Mapping[Any, Any]:
    """`content`, or the one state dict in it; an encoder's and a decoder's are joined."""

    def is_state_dict(value: Any) -> bool:  # an optimizer's has no weights
        items = value.items() if isinstance(value, Mapping) else ()
        return any(re.search(r"(^|\.)(weight|bias)$", str(key)) and isinstance(item, tensor) for key, item in items)

    if is_state_dict(content):
        return content
    items: Any = content.items() if isinstance(content, Mapping) else ()
    parts = {str(key): value for key, value in items if is_state_dict(value)}
    if sorted(name[:3].lower() for name in parts) == ["dec", "enc"]:
        return {f"{name}.{key}": value for name, part in parts.items() for key, value in part.items()}
    if len(parts) != 1:
        found = f"{len(parts)} state dicts, {', '.join(map(repr, parts))}" if parts else "no state dict"
        raise UserError(f"{path} holds {found}: save one, torch.save(model.state_dict(), 'weights.pt')")
    return next(iter(parts.values()))


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    arrays = {}
    for key, entry in safetensors.deserialize(path.read_bytes()):
        if entry["dtype"] in DTYPES:  # safetensors.numpy does not know bfloat16
            arrays[key] = np.frombuffer(entry["data"], DTYPES[entry["dtype"]]).reshape(entry["shape"])
        else:
            arrays[key] = np.broadcast_to(0, entry["shape"])  # stands for values that are no floats
    return arrays


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
        return dict(content)
