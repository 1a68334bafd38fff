"""Normal numbers, the same as `jax.random.normal` draws, three times as fast on a CPU.

There JAX runs threefry's five groups of rounds as a loop over the whole array, through memory each time. Written out
they are one pass; a second turns bits into normals. Measured on 2 cores with AVX-512, 393,216 numbers: 0.8 ms for
`normal` here, 2.2 ms for JAX's.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float32, PRNGKeyArray, UInt32

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def threefry(key: UInt32[Array, "2"], counts: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """32 random bits for each of `counts`, as JAX's partitionable threefry2x32 (Salmon et al., SC 2011) draws them."""
    keys = (key[0], key[1], key[0] ^ key[1] ^ np.uint32(0x1BD11BDA))
    high, low = jnp.broadcast_to(keys[0], counts.shape), counts + keys[1]
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            high = high + low
            low = high ^ ((low << np.uint32(rotation)) | (low >> np.uint32(32 - rotation)))
        high = high + keys[(group + 1) % 3]
        low = low + (keys[(group + 2) % 3] + np.uint32(group + 1))
    return high ^ low


def normal(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float32[Array, "..."]:
    """What ``jax.random.normal(key, shape)`` draws; by that function itself for keys that are not threefry's."""
    size = math.prod(shape)
    if jax.random.key_impl(key) != "threefry2x32" or not jax.config.jax_threefry_partitionable or size >= 2**32:
        return jax.random.normal(key, shape, jnp.float32)
    # without axes of length 1: on a TPU an image's single channel would leave seven of a register's eight rows empty
    counts = lax.iota(jnp.uint32, size).reshape([length for length in shape if length != 1])
    bits = threefry(jax.random.key_data(key), counts)
    bits = lax.optimization_barrier(bits)  # with both passes in one, XLA's code is ten times slower
    unit = lax.bitcast_convert_type((bits >> np.uint32(9)) | np.uint32(0x3F800000), jnp.float32) - np.float32(1)
    lowest = np.nextafter(np.float32(-1), np.float32(0), dtype=np.float32)
    uniform = jnp.maximum(lowest, unit * (np.float32(1) - lowest) + lowest)
    return (np.float32(math.sqrt(2)) * lax.erf_inv(uniform)).reshape(shape)
