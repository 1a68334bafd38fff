"""Images as lanes against the definition in float64, alone and in ensembles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from jaxae import networks, noise, training
from jaxae.ops import lanes
from tests.layer_checks import LAYERS, check
from tests.small_run import random_params


@pytest.mark.parametrize("most_terms", [0, 10**6], ids=["products", "sums"])
@settings(max_examples=18, deadline=None)
@given(sizes=LAYERS)
def test_it_is_the_definition_in_value_and_gradients(most_terms, sizes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "MOST_TERMS", most_terms)
        check(lanes.BACKEND, sizes)


@settings(max_examples=12, deadline=None)
@given(sizes=LAYERS)
def test_bfloat16_gradients_are_float32_ones_rounded(sizes):
    check(lanes.BACKEND, sizes, "bfloat16", tolerance=2**-8)


def test_relu_matches_linen():
    x = jnp.array([-1.0, 0.0, 2.0])
    value, gradient = jax.value_and_grad(lambda x: (lanes.relu(x) * jnp.array([1.0, 2.0, 3.0])).sum())(x)
    assert value == 6
    np.testing.assert_array_equal(gradient, [0, 0, 3])


@pytest.mark.parametrize("network", ["mnist", "cifar"])
def test_a_step_holds_no_convolution(network):
    model = networks.build(network, "lanes")
    images = jnp.zeros((16, *model.image_shape))
    task = training.Task(model, training.make_optimizer("plain", 0), 16)
    hyper = training.hyperparameters(0, 1e-3, noise.parse("gaussian"))
    state = jax.eval_shape(lambda hyper: training.init(task, hyper, model.image_shape), hyper)
    step = jax.jit(training.train_step, static_argnums=0)
    assert "convolution" not in step.lower(task, hyper, state, (images, images)).as_text()


@pytest.mark.parametrize("network", ["mnist", "cifar"])
def test_an_ensemble_computes_what_its_members_do(network):
    model = networks.build(network, "lanes")
    images = jax.random.uniform(jax.random.key(1), (2, *model.image_shape))
    members = [{"params": random_params(network, seed)} for seed in (0, 1)]
    together = jax.jit(jax.vmap(model.apply, (0, None)))(jax.tree.map(lambda *p: jnp.stack(p), *members), images)
    for member, restored in zip(members, together, strict=True):
        np.testing.assert_allclose(restored, jax.jit(model.apply)(member, images), atol=1e-5)
