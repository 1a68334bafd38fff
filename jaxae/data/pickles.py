"""Pickles of arrays, bytes, numbers, lists and dictionaries, read without running anything that is in them."""

import io
import pickle
from typing import Any

import numpy as np

from jaxae.errors import UserError

# What NumPy's arrays are made of, by the names that its old and new versions pickle them under.
_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
_PARTS = {
    "ndarray": np.ndarray,
    "dtype": np.dtype,
    "_reconstruct": np._core.multiarray._reconstruct,
}


def _encode(text: str, _: str) -> bytes:
    """How Python 3 pickles bytes in the protocols of Python 2."""
    return text.encode("latin1")


class _Reader(pickle.Unpickler):
    def __init__(self, content: bytes, where: str):
        super().__init__(io.BytesIO(content), encoding="bytes")  # Python 2 wrote the official files
        self._where = where

    def find_class(self, module: str, name: str) -> Any:
        if module in _MODULES and name in _PARTS:
            return _PARTS[name]
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise UserError(
            f"{self._where} holds {module}.{name}, and reading that could run code: it was not read; take the official "
            "files"
        )

    def persistent_load(self, pid: Any) -> Any:
        raise UserError(f"{self._where} is a pickle with parts elsewhere: take the official files")


def read(content: bytes, where: str) -> Any:
    """What is in the pickle `content`; text of Python 2 comes as bytes.

    Raises UserError, which names `where`, for anything but arrays, bytes, text, numbers, lists, tuples and
    dictionaries, and for a pickle that is damaged.
    """
    try:
        return _Reader(content, where).load()
    except UserError:
        raise
    except Exception as error:  # whatever pickle and NumPy make of broken bytes
        raise UserError(f"{where} is no whole pickle ({type(error).__name__}); fetch it again") from error
