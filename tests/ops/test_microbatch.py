import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae.ops import microbatch


@pytest.mark.parametrize(
    ("batch", "most", "expected"), [(128, 16, 16), (100, 16, 10), (128, None, 128), (7, 16, 7), (17, 16, 1)]
)
def test_a_part_is_the_largest_divisor(batch, most, expected):
    assert microbatch.largest_divisor(batch, most) == expected


@pytest.mark.parametrize("most", [None, 4, 5, 12])
def test_parts_add_up_to_the_whole(most):
    params = {"w": jnp.arange(6.0).reshape(3, 2)}
    x, y = jax.random.normal(jax.random.key(0), (12, 3)), jax.random.normal(jax.random.key(1), (12, 2))

    def loss_fn(params, x, y):
        return jnp.mean(jnp.square(x @ params["w"] - y))

    value, grads = microbatch.value_and_grad(loss_fn, most)(params, x, y)
    expected, expected_grads = jax.value_and_grad(loss_fn)(params, x, y)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(grads["w"], expected_grads["w"], rtol=1e-5, atol=1e-6)
