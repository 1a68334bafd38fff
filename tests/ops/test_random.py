import jax
import numpy as np
import pytest

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
