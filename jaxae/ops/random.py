"""Normal and Poisson random numbers in passes that XLA's CPU compiler vectorizes.

On CPUs, JAX runs threefry's five groups of rounds as a loop over the whole array, which goes through memory each time.
Unrolled they are one pass; a second one turns bits into numbers. `normal` draws the numbers of `jax.random.normal`.

`jax.random.poisson` repeats rejection sampling, by both of its methods, until every number of the array is accepted.
`sample_poisson` inverts the distribution function instead.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float32, Float64, PRNGKeyArray, UInt32

Floats = Float32[Array, "*shape"] | Float64[Array, "*shape"]

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))

# Rates from here on are for the expansion; below, a count of more than TERMS has a probability under 2 ** -33.
EXPANSION_FROM, TERMS = 10, 36


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


def _bits(key: PRNGKeyArray, shape: tuple[int, ...]) -> UInt32[Array, "..."]:
    """Draw ``jax.random.bits(key, shape, jnp.uint32)``, without the axes of length 1.

    On a TPU an axis with a single channel would leave seven of a register's eight rows empty.
    """
    size, shape = math.prod(shape), tuple(length for length in shape if length != 1)
    partitionable = jax.config.jax_threefry_partitionable  # pyright: ignore[reportAttributeAccessIssue]
    if jax.random.key_impl(key) != "threefry2x32" or not partitionable or size >= 2**32:
        return jax.random.bits(key, shape, jnp.uint32)
    bits = threefry(jax.random.key_data(key), lax.iota(jnp.uint32, size).reshape(shape))
    # With both passes in one, XLA's code for CPUs is ten times slower. A GPU has them in one kernel.
    return lax.platform_dependent(bits, cuda=lambda bits: bits, default=lax.optimization_barrier)


def normal(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float32[Array, "..."]:
    """Draw ``jax.random.normal(key, shape)``."""
    bits = _bits(key, shape)
    unit = lax.bitcast_convert_type((bits >> np.uint32(9)) | np.uint32(0x3F800000), jnp.float32) - np.float32(1)
    lowest = np.nextafter(np.float32(-1), np.float32(0), dtype=np.float32)
    uniform = jnp.maximum(lowest, unit * (np.float32(1) - lowest) + lowest)
    return (np.float32(math.sqrt(2)) * lax.erf_inv(uniform)).reshape(shape)


def sample_poisson(key: PRNGKeyArray, rate: Floats) -> Floats:
    """Draw Poisson counts by `poisson_isf` of 32 random bits each; counts have derivative 0.

    Args:
        key: a JAX PRNG key.
        rate: the means, finite; 0 and less give a count of 0. The counts have its dtype.
    """
    # A pass of its own, over long rows: fused with what comes before and after, XLA's code for CPUs would follow the
    # order of an image's 3 channels or of another layout, and be several times slower.
    rows = rate.reshape((*rate.shape[:1], math.prod(rate.shape[1:])))
    upper = (_bits(key, rows.shape).reshape(rows.shape).astype(rate.dtype) + 0.5) * 2.0**-32
    counts = poisson_isf(upper, lax.optimization_barrier(rows))
    return lax.optimization_barrier(counts).reshape(rate.shape)


def poisson_isf(upper: Floats, rate: Floats) -> Floats:
    """Return the inverse survival function: the least integer that a Poisson count exceeds with probability ≤ `upper`.

    Args:
        upper: probabilities in (0, 1]; 1, to which float32 rounds what is near, gives 0.
        rate: the means of the counts, finite.

    Below a rate of 10 the probabilities are summed, up to 36, which a count exceeds with a probability under 2 ** -33.
    From there on it is the normal approximation with the first four corrections of its expansion in 1 / √rate (Giles,
    "Algorithm 955: approximation of the inverse Poisson cumulative distribution function", ACM TOMS 42, 2016; the
    fourth by solving for it in 80 digits), cut off at 5.4 standard deviations in float32, as `jax.random.normal` is.

    Errors in float32, over all 2 ** 32 words of bits (all of the last 2 ** 20 at each end, every 256th between): of
    the distribution function at most 4e-7 below a rate of 10, 1.5e-5 at 10, 2e-6 at 20, 8e-7 from 30 to 1000, 2e-6 at
    1e4, 1.3e-5 at 1e6 (there float32 has steps of 1/16 before the rounding to whole numbers, and above 2 ** 24 holds
    only even ones); of the mean relative to it at most 6e-7 from 0.01 on, of the variance 4e-6.
    """
    few = _count_tails(upper, jnp.clip(rate, 0, EXPANSION_FROM))
    many = _expand(upper, jnp.maximum(rate, EXPANSION_FROM))
    return jnp.where(rate < EXPANSION_FROM, few, many)


def _count_tails(upper: Array, rate: Array) -> Array:
    """The number of k > 0 with P(count ≥ k) > `upper`; each such probability is summed from its smallest term on."""
    scaled, power = rate * (1 / EXPANSION_FROM), jnp.exp(-rate)
    powers = [power := power * scaled for _ in range(TERMS)]
    tail = count = jnp.zeros_like(rate)
    for k in range(TERMS, 0, -1):
        tail = tail + powers[k - 1] * (EXPANSION_FROM**k / math.factorial(k))
        count = count + (upper < tail).astype(rate.dtype)
    return count


def _expand(upper: Array, rate: Array) -> Array:
    """The same from the normal number that is exceeded with probability `upper`."""
    largest = float(np.nextafter(rate.dtype.type(1), rate.dtype.type(0)))
    z = math.sqrt(2) * lax.erf_inv(jnp.clip(1 - 2 * upper, -largest, largest))
    root, z2 = jnp.sqrt(rate), z * z
    terms = (  # of rate ** 0, -1/2, -1 and -3/2
        1 / 3 + z2 / 6,
        z * (-1 / 36 - z2 / 72),
        -8 / 405 + z2 * (7 / 810 + z2 / 270),
        z * (671 / 38880 + z2 * (-137 / 38880 - z2 * 23 / 17280)),
    )
    correction = terms[0] + (terms[1] + (terms[2] + terms[3] / root) / root) / root
    return jnp.maximum(jnp.floor(rate + (root * z + correction)), 0)
