"""Images as lanes against the definition in float64, alone and in populations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from jaxae import models, ops, training
from jaxae.errors import UserError
from jaxae.ops import lanes
from tests.layer_checks import LAYERS, check


@pytest.mark.parametrize("most_terms", [0, 10**6], ids=["products", "sums"])
@settings(max_examples=18, deadline=None)
@given(sizes=LAYERS)
def test_it_is_the_definition_in_value_and_gradients(most_terms, sizes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "MOST_TERMS", most_terms)
        check(lanes.OPS, sizes)


@settings(max_examples=12, deadline=None)
@given(sizes=LAYERS)
def test_bfloat16_gradients_are_float32_ones_rounded(sizes):
    check(lanes.OPS, sizes, "bfloat16", tolerance=2**-8)


def test_relu_matches_linen():
    x = jnp.array([-1.0, 0.0, 2.0])
    value, gradient = jax.value_and_grad(lambda x: (lanes.relu(x) * jnp.array([1.0, 2.0, 3.0])).sum())(x)
    assert value == 6
    np.testing.assert_array_equal(gradient, [0, 0, 3])


@pytest.mark.parametrize("network", ["mnist", "cifar"])
def test_a_step_holds_no_convolution(network):
    model = models.build(network, "lanes")
    images = jnp.zeros((16, *model.image_shape))
    params = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
    gradient = jax.grad(training.loss_fn)
    assert "convolution" not in jax.jit(gradient, static_argnums=1).lower(params, model, images, images).as_text()


@pytest.mark.parametrize("network", ["mnist", "cifar"])
def test_a_population_computes_what_its_members_do(network):
    model = models.build(network, "lanes")
    images = jax.random.uniform(jax.random.key(1), (2, *model.image_shape))
    members = [jax.jit(model.init)(jax.random.key(seed), images) for seed in (0, 1)]
    together = jax.jit(jax.vmap(model.apply, (0, None)))(jax.tree.map(lambda *p: jnp.stack(p), *members), images)
    for member, restored in zip(members, together, strict=True):
        np.testing.assert_allclose(restored, jax.jit(model.apply)(member, images), atol=1e-5)


def test_an_unknown_way_names_those_there_are():
    with pytest.raises(UserError, match="no way of computing is called 'fast'; there are: auto, xla, lanes"):
        ops.pick("fast")


def test_auto_is_lanes_on_a_cpu():
    assert ops.resolve("auto") == "lanes"
    assert ops.compiler_options("auto") == lanes.COMPILER_OPTIONS
    assert ops.compiler_options("xla") == {}
