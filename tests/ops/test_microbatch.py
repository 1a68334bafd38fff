import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae.ops import microbatch


@pytest.mark.parametrize(
    ("batch", "most", "expected"),
    [(128, 16, 16), (4, 16, 4), (5, 16, 8), (8192, 128, 128), (122, 16, 16), (17, 16, 8), (129, 128, 72), (7, None, 7)],
)
def test_the_size_of_a_part_divides_the_batch_or_fills_registers(batch, most, expected):
    assert microbatch.part_size(batch, most) == expected


@pytest.mark.parametrize("most", [8, 16, 128])
def test_few_images_are_computed_in_vain(most):
    for batch_size in range(26, 1030):
        part = microbatch.part_size(batch_size, most)
        assert part <= most
        assert -(-batch_size // part) * part <= 1.25 * batch_size


def test_a_batch_of_a_power_of_two_is_not_filled_up():
    for batch_size, most in itertools.product((2**n for n in range(14)), (2**n for n in range(10))):
        assert microbatch.part_size(batch_size, most) == min(batch_size, most)


def per_pixel(params, x, y):
    return jnp.square(x @ params["w"] - y)


def per_image(params, x, y):
    """Not finite for an image of zeros, as the losses of masked pixels are without a mask."""
    return jnp.sum(per_pixel(params, x, y), 1) / jnp.sum(x**2, 1)


@pytest.mark.parametrize("losses", [per_pixel, per_image])
@pytest.mark.parametrize(("batch", "most"), [(12, None), (12, 4), (12, 12), (19, 4), (19, 16), (7, 16), (33, 16)])
def test_parts_add_up_to_the_whole(batch, most, losses):
    params = {"w": jnp.arange(6.0).reshape(3, 2)}
    x, y = jax.random.normal(jax.random.key(0), (batch, 3)), jax.random.normal(jax.random.key(1), (batch, 2))
    value, grads = microbatch.value_and_grad(losses, most)(params, x, y)
    expected, expected_grads = jax.value_and_grad(lambda *inputs: jnp.mean(losses(*inputs)))(params, x, y)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(grads["w"], expected_grads["w"], rtol=1e-5, atol=1e-6)
