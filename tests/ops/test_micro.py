import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import models
from jaxae.ops import micro


@pytest.mark.parametrize(
    ("batch", "most", "expected"), [(128, 16, 16), (100, 16, 10), (128, None, 128), (7, 16, 7), (17, 16, 1)]
)
def test_size_is_the_largest_divisor(batch, most, expected):
    assert micro.size(batch, most) == expected


@pytest.mark.parametrize("most", [None, 4, 5, 12])
def test_parts_add_up_to_the_whole(most):
    params = {"w": jnp.arange(6.0).reshape(3, 2)}
    x, y = jax.random.normal(jax.random.key(0), (12, 3)), jax.random.normal(jax.random.key(1), (12, 2))

    def loss_fn(params, x, y):
        return jnp.mean(jnp.square(x @ params["w"] - y))

    value, grads = micro.value_and_grad(loss_fn, most)(params, x, y)
    expected, expected_grads = jax.value_and_grad(loss_fn)(params, x, y)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(grads["w"], expected_grads["w"], rtol=1e-5, atol=1e-6)


def test_the_way_of_computing_decides_the_parts():
    assert models.build("cifar", "lanes").micro_batch == 16
    assert models.build("cifar", "xla").micro_batch is None
    assert models.build("mnist", "lanes").micro_batch == 128
