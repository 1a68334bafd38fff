import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import models
from jaxae.training import recipes


def sizes_of_steps(optimizer, steps):
    """How far each step goes under a constant gradient, where Adam and SOAP go their learning rate."""
    params = jnp.zeros(1)
    state, sizes = optimizer.init(params), []
    update = jax.jit(optimizer.update)
    for _ in range(steps):
        updates, state = update(jnp.ones(1), state, params)
        sizes.append(-updates[0])
    return np.asarray(sizes)


@pytest.fixture(autouse=True)
def _standard_promotion():
    with jax.numpy_dtype_promotion("standard"):  # as in `train_step`
        yield


def test_fast_rises_to_the_rate_and_falls_to_nearly_nothing():
    sizes = sizes_of_steps(recipes.make_optimizer("fast", 40), 40)
    assert sizes.max() == pytest.approx(1, rel=1e-3)
    peak = int(sizes.argmax())
    assert 0 < peak < 20
    assert np.all(np.diff(sizes[: peak + 1]) > 0)
    assert np.all(np.diff(sizes[peak:]) < 0)
    assert sizes[-1] < 0.02


@pytest.mark.parametrize("steps", [1, 2, 4, 5])
def test_fast_takes_the_shortest_runs(steps):
    sizes = sizes_of_steps(recipes.make_optimizer("fast", steps), steps)
    assert np.all(np.isfinite(sizes))
    assert sizes.max() > 0.5


def test_every_recipe_knows_every_network():
    for network in models.MODELS.values():
        assert set(network.recipes) == {"plain", "fast"}
