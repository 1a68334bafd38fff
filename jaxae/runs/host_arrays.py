"""Arrays on their way between devices and a checkpoint: as NumPy has them, and many of them as one."""

import contextlib
import ctypes

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree, UInt8


def fetch(tree: PyTree) -> PyTree:
    """Copies of the arrays of `tree` in NumPy, on every process that holds them: a program may consume the originals.

    Not JAX's own arrays: with those Orbax asks TensorStore for its counters, which leaves some KiB behind each time.
    """
    return jax.tree.map(np.array, jax.device_get(tree))


def place(tree: PyTree, like: PyTree) -> PyTree:
    """Return the NumPy arrays of `tree` on the devices of `like`; on a single device, uncommitted like new arrays.

    Arrays that are committed to a device would compile another program, and could not be spread over several devices.
    """

    def one(array: np.ndarray, like: jax.Array | jax.ShapeDtypeStruct) -> jax.Array:
        several = like.sharding is not None and len(like.sharding.device_set) > 1
        return jax.device_put(array, like.sharding) if several else jnp.array(array)

    return jax.tree.map(one, tree, like)


def empty(like: PyTree) -> PyTree:
    """Arrays of the shapes and the types of `like`, of the memory of one number each: to tell what is to be read."""
    return jax.tree.map(lambda leaf: np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape), like)


def shapes(tree: PyTree) -> PyTree:
    """The shape and the type of each array of `tree`."""
    return jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), tree)


def pack(tree: PyTree) -> UInt8[np.ndarray, " bytes"]:
    """The bytes of the NumPy arrays of `tree`, one array's after another's."""
    return np.concatenate([np.frombuffer(leaf.tobytes(), np.uint8) for leaf in jax.tree.leaves(tree)])


def unpack(packed: UInt8[np.ndarray, " bytes"], like: PyTree) -> PyTree:
    """The tree that `pack` made the bytes of, with the structure, the shapes and the types of `like`."""
    leaves, structure = jax.tree.flatten(like)
    ends = np.cumsum([leaf.size * leaf.dtype.itemsize for leaf in leaves])
    parts = np.split(packed, ends[:-1])
    arrays = [part.view(leaf.dtype).reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(structure, arrays)


def return_freed() -> None:
    """Have the C library return to the system what is free, where it can.

    A save has threads of its own, and glibc keeps for new threads what others have freed, a little more each time.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
