"""A digest of parameters: equal for equal bits, whatever device they are on."""

import hashlib

import jax
import numpy as np
from jaxtyping import PyTree


def tree_digest(tree: PyTree) -> str:
    """Return the SHA-256, in hex, over the path, dtype, shape and bytes of every array in `tree`."""
    sha = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(jax.device_get(leaf))
        sha.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}\n".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()
