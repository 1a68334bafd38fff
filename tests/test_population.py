import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxae import models, noise, ops, population, train

SHAPE = (12, 12, 3)


def make_task(way):
    return train.Task(models.build("cifar", way), optax.adam(1.0), noise.parse("gaussian", 0.1), 8)


def make_members(task):
    """Members that differ in everything that members can."""
    strengths = [jnp.full((1, 2), factor) for factor in (0.1, 0.1, 0.3, 0.5)]
    seeds, rates = (0, 1, 0, 0), (1e-3, 1e-3, 1e-3, 1e-2)
    lone = [train.make_member(task, seed, rate) for seed, rate in zip(seeds, rates, strict=True)]
    return [member._replace(strengths=own) for member, own in zip(lone, strengths, strict=True)]


@pytest.mark.parametrize("form", ["turns", "vmap"])
def test_each_member_ends_as_it_would_alone(form, monkeypatch):
    task = make_task("lanes")
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (24, *SHAPE), np.uint8))
    members = make_members(task)
    stacked = population.stack(members)
    monkeypatch.setattr(population, "TAKE_TURNS", {"cpu"} if form == "turns" else set())
    population.population_epoch.clear_cache()
    states = population.init_population(task, stacked, SHAPE)
    *_, (epoch, losses) = population.fit_population(task, stacked, states, images, epochs=2)
    assert len({float(loss) for loss in losses}) == len(members)
    for number, member in enumerate(members):
        *_, lone = train.fit(task, member, train.init(task, member, SHAPE), images, epochs=2)
        assert lone.loss == pytest.approx(float(losses[number]), rel=1e-5)
        ours = jax.tree.map(lambda leaf, at=number: leaf[at], epoch.state.params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), ours, lone.state.params)


@pytest.mark.parametrize("way", ["lanes", "rows"])
@pytest.mark.parametrize("name", models.MODELS)
def test_batched_over_weights_nothing_becomes_a_grouped_convolution(name, way):
    assert way in (ops.resolve("auto", backend, batched=True) for backend in ("cpu", "gpu"))
    model = models.build(name, way)
    images = jnp.zeros((2, *model.image_shape))
    params = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
    many = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((3, *leaf.shape), leaf.dtype), params)

    def loss(params, images):
        return train.loss_fn(params, model, images, images)

    text = jax.jit(jax.vmap(jax.grad(loss), in_axes=(0, None))).lower(many, images).as_text()
    assert "stablehlo.convolution" not in text
    assert "stablehlo.dot_general" in text
