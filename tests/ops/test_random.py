import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxae.ops import random


@pytest.mark.parametrize("shape", [(), (1,), (5, 7), (3, 8, 8, 2)])
@pytest.mark.parametrize("seed", [0, 2**31])
def test_normal_draws_what_jax_draws(shape, seed):
    key = jax.random.fold_in(jax.random.key(seed), 3)
    np.testing.assert_array_equal(random.normal(key, shape), jax.random.normal(key, shape))


def test_normal_under_vmap_draws_what_jax_draws():
    keys = jax.random.split(jax.random.key(0), 4)
    mine = jax.vmap(lambda key: random.normal(key, (6,)))(keys)
    np.testing.assert_array_equal(mine, jax.vmap(lambda key: jax.random.normal(key, (6,)))(keys))


def test_another_kind_of_key_draws_what_jax_draws():
    key = jax.random.key(0, impl="rbg")
    np.testing.assert_array_equal(random.normal(key, (4,)), jax.random.normal(key, (4,)))


RATES = [0.01, 0.1, 1.0, 3.0, 7.5, 9.99, 10.0, 15.0, 40.0, 300.0, 1e4]  # the method changes at 10
SIGNIFICANCE = 1e-3  # the keys are fixed, so a test that passes once passes always


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", RATES)
def test_poisson_isf_inverts_scipys_distribution_function(rate, dtype):
    """Each count is the right one for a probability that differs by less than the error that the docstring states."""
    with jax.enable_x64(dtype == np.float64):
        rate = dtype(rate)
        middle = (np.arange(2**16) + 0.5) / 2**16
        upper = np.concatenate([2.0 ** np.linspace(-33, -16, 2**12), middle, 1 - 2.0 ** np.linspace(-24, -16, 2**10)])
        upper = np.sort(upper.astype(dtype))
        counts = np.asarray(jax.jit(random.poisson_isf)(upper, np.full_like(upper, rate)))
    assert counts.dtype == dtype
    assert (np.diff(counts) <= 0).all()
    law, upper = scipy.stats.poisson(float(rate)), upper.astype(np.float64)
    if rate < 10:  # what is beyond the last term has a probability of 4.4e-11 at most
        error = (1e-5 if dtype == np.float32 else 1e-12) * upper + 5e-11
    else:
        error = 1.6e-5 * (10 / float(rate)) + 3e-6
    assert (law.sf(counts) <= upper + error).all()
    assert (law.sf(counts - 1) >= upper - error).all()


@pytest.mark.parametrize("rate", RATES)
def test_poisson_follows_its_law(rate):
    rate = float(np.float32(rate))
    counts = np.asarray(random.sample_poisson(jax.random.key(5), jnp.full((2**20,), rate, jnp.float32))).astype(
        np.float64
    )
    n, law = counts.size, scipy.stats.poisson(rate)
    assert abs(counts.mean() - rate) < 4 * math.sqrt(rate / n)
    assert abs(counts.var() - rate) < 4 * math.sqrt((rate + 2 * rate**2) / n)  # the variance of a Poisson variance
    edges = np.unique(law.ppf(np.linspace(1e-5, 1 - 1e-5, 400)))  # cells of 10 expected counts and more
    seen = np.histogram(counts, np.concatenate([[-0.5], edges + 0.5, [np.inf]]))[0]
    expected = n * np.diff(law.cdf(edges), prepend=0, append=1)
    if expected[-1] < 5:
        seen, expected = (np.append(cells[:-2], cells[-2:].sum()) for cells in (seen, expected))
    assert scipy.stats.chisquare(seen, expected).pvalue > SIGNIFICANCE


def test_poisson_of_a_rate_of_0_or_less_is_0():
    rate = jnp.float32([[0.0], [-0.0], [-1e-3], [-50.0]]) * jnp.ones((1, 2**16))
    np.testing.assert_array_equal(random.sample_poisson(jax.random.key(0), rate), 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_poisson_of_extreme_rates_is_finite(dtype):
    with jax.enable_x64(dtype == np.float64):
        rate = np.array([1e-45, 1e-38, 1e-30, 1e6, 1e9, 1e20, np.finfo(np.float32).max], dtype)[:, None]
        rate, upper = np.broadcast_arrays(rate, np.array([2.0**-33, 0.3, 0.5, 1 - 2.0**-33], dtype))
        counts = np.asarray(random.poisson_isf(jnp.asarray(upper), jnp.asarray(rate)))
    assert np.isfinite(counts).all()
    assert (counts >= 0).all()
    np.testing.assert_array_equal(counts, np.floor(counts))
    assert (abs(counts - rate) <= 7 * np.sqrt(rate) + 1e-7 * rate).all()


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 8, 8, 1)])
def test_poisson_of_any_key_inverts_the_bits_that_jax_draws(impl, shape):
    key, rate = jax.random.key(4, impl=impl), jnp.full(shape, 6.0)
    upper = (jax.random.bits(key, shape, jnp.uint32).astype(jnp.float32) + 0.5) / 2.0**32
    np.testing.assert_array_equal(random.sample_poisson(key, rate), random.poisson_isf(upper, rate))


def test_poisson_under_jit_and_vmap_draws_the_same():
    keys, rate = jax.random.split(jax.random.key(0), 4), jnp.linspace(0, 30, 4 * 500).reshape(4, 500)
    mapped = jax.jit(jax.vmap(random.sample_poisson))(keys, rate)
    np.testing.assert_array_equal(mapped, [random.sample_poisson(*row) for row in zip(keys, rate, strict=True)])


def test_poisson_has_derivative_0():
    rate = jnp.float32([0, 1e-3, 5, 10, 1e4])
    value, slope = jax.jvp(lambda rate: random.sample_poisson(jax.random.key(0), rate), (rate,), (jnp.ones(5),))
    assert float(value[-1]) > 0
    np.testing.assert_array_equal(slope, 0)
    np.testing.assert_array_equal(jax.grad(lambda rate: random.sample_poisson(jax.random.key(0), rate).sum())(rate), 0)


def test_poisson_draws_the_same_on_any_number_of_devices():
    rate = jax.random.uniform(jax.random.key(1), (16, 61, 67, 3)) * 25
    draw, results = jax.jit(random.sample_poisson), {}
    for devices in (1, 2, 8):
        mesh = jax.make_mesh((devices,), ("data",), (AxisType.Auto,), devices=jax.devices()[:devices])
        drawn = draw(jax.random.key(0), jax.device_put(rate, NamedSharding(mesh, PartitionSpec("data"))))
        assert len(drawn.sharding.device_set) == devices
        results[devices] = np.asarray(drawn)
    for devices in (2, 8):
        np.testing.assert_array_equal(results[devices], results[1])
