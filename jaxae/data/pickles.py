"""Reading pickles of arrays, bytes, numbers, lists and dictionaries without running code that they hold."""

import io
import pickle
from typing import Any

import numpy as np

# What NumPy's arrays and bytes are made of, by the names that old and new versions pickle them under.
_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "_codecs")
_PARTS = {
    "ndarray": np.ndarray,
    "dtype": np.dtype,
    "_reconstruct": np.zeros(0).__reduce__()[0],
    "encode": lambda text, _: text.encode("latin1"),  # how Python 3 pickles bytes in the protocols of Python 2
}


def load_pickle(content: bytes, file: str) -> Any:
    """Unpickle `content` of a file called `file`; text of Python 2 becomes bytes.

    Raises:
        ValueError: It holds more than arrays, bytes, text, numbers, lists, tuples and dictionaries.
        Exception: It is damaged. Pickle and NumPy raise errors of many types then.
    """

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if module in _MODULES and name in _PARTS:
                return _PARTS[name]
            raise ValueError(f"{file} holds {module}.{name}, which could run code")

    return Reader(io.BytesIO(content), encoding="bytes").load()  # Python 2 wrote the official files
