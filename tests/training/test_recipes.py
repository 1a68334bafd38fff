import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxae import networks
from jaxae.errors import UserError
from jaxae.training import RECIPES, Settings, make_optimizer, recipe


def sizes_of_steps(optimizer, steps, gradients=None):
    """How far each step goes; by default under a constant gradient, where Adam and SOAP go their learning rate."""
    params = jnp.zeros(1)
    state, sizes = optimizer.init(params), []
    update = jax.jit(optimizer.update)
    for gradient in gradients or [1.0] * steps:
        updates, state = update(jnp.full(1, gradient), state, params)
        sizes.append(-updates[0])
    return np.asarray(sizes)


@pytest.fixture(autouse=True)
def _standard_promotion():
    with jax.numpy_dtype_promotion("standard"):  # as in `train_step`
        yield


def test_fast_rises_to_the_rate_and_falls_to_nearly_nothing():
    sizes = sizes_of_steps(make_optimizer("fast", 40), 40)
    assert sizes.max() == pytest.approx(1, rel=1e-3)
    peak = int(sizes.argmax())
    assert 0 < peak < 20
    assert np.all(np.diff(sizes[: peak + 1]) > 0)
    assert np.all(np.diff(sizes[peak:]) < 0)
    assert sizes[-1] < 0.02


@pytest.mark.parametrize("steps", [1, 2, 4, 5])
def test_fast_takes_the_shortest_runs(steps):
    sizes = sizes_of_steps(make_optimizer("fast", steps), steps)
    assert np.all(np.isfinite(sizes))
    assert sizes.max() > 0.5


def test_plain_steps_at_a_constant_rate_and_is_one_object():
    np.testing.assert_allclose(sizes_of_steps(make_optimizer("plain", 0), 20), 1, rtol=1e-3)
    assert make_optimizer("plain", 0) is make_optimizer("plain", 10)
    assert make_optimizer("fast", 10) is make_optimizer("fast", 10)
    assert make_optimizer("fast", 10) is not make_optimizer("fast", 20)


def test_plain_is_adam_with_the_usual_decays():
    mean, square = 0.9 * 0.1 * 1 + 0.1 * -2, 0.999 * 0.001 * 1 + 0.001 * 4
    second = mean / (1 - 0.9**2) / np.sqrt(square / (1 - 0.999**2))
    np.testing.assert_allclose(sizes_of_steps(make_optimizer("plain", 0), 2, [1.0, -2.0]), [1, second], rtol=1e-4)


def test_a_recipe_has_settings_for_every_network():
    mnist, cifar = networks.NETWORKS["mnist"], networks.NETWORKS["cifar"]
    for network in (mnist, cifar, networks.Autoencoder):
        assert RECIPES["plain"].settings_for(network) == Settings(10, 128, 1e-3)
    assert RECIPES["fast"].settings_for(mnist) == Settings(3, 64, 8e-3)
    assert RECIPES["fast"].settings_for(cifar) == Settings(5, 64, 2e-2, lsuv=True, reflect_padding=4)
    # a network that it has not been tuned for takes no reflection padding, which it might not allow
    assert RECIPES["fast"].settings_for(networks.Autoencoder) == Settings(5, 64, 1e-2, lsuv=True)


def test_a_recipe_with_a_schedule_says_so():
    assert {name: each.has_schedule for name, each in RECIPES.items()} == {"plain": False, "fast": True}
    for name, each in RECIPES.items():  # the second step of a long run and of a short one differ
        long, short = (sizes_of_steps(make_optimizer(name, steps), 2)[1] for steps in (100, 10))
        assert each.has_schedule == bool(long != short)


def test_a_recipe_of_ones_own_is_found_by_name():
    settings = Settings(1, 8, 0.1)

    @recipe("sgd", settings, has_schedule=True)
    def sgd(steps):
        return optax.sgd(1.0)

    try:
        assert RECIPES["sgd"].settings_for(networks.MnistDenoiser) is settings
        assert RECIPES["sgd"].has_schedule
        np.testing.assert_allclose(sizes_of_steps(make_optimizer("sgd", 3), 3), 1)
    finally:
        del RECIPES["sgd"]
    with pytest.raises(UserError, match=r"no recipe 'quick'.*there are: plain, fast"):
        make_optimizer("quick", 1)
