import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import networks, noise, ops, training
from jaxae.data import Images
from jaxae.training import ensemble

SHAPE = (12, 12, 3)
# they differ in everything that members can
MEMBERS = [
    training.hyperparameters(seed, rate, noise.parse("gaussian", factor))
    for seed, rate, factor in ((0, 1e-3, 0.1), (1, 1e-3, 0.1), (0, 1e-3, 0.3), (0, 1e-2, 0.5))
]


@pytest.mark.parametrize("form", ["sequential", "vmap"])
def test_each_member_ends_as_it_would_alone(form, monkeypatch):
    task = training.Task(networks.build("cifar", "lanes"), training.make_optimizer("plain", 0), 8)
    images = np.random.default_rng(0).integers(0, 256, (24, *SHAPE), np.uint8)
    hyper = ensemble.stack(MEMBERS)
    monkeypatch.setattr(ensemble, "SEQUENTIAL", {"cpu"} if form == "sequential" else set())
    ops.jit.cache_clear()
    states = training.init(task, hyper, SHAPE)
    source = ensemble.EnsembleImages(Images(images), len(MEMBERS))
    hyper, states = source.place_run((hyper, states))
    *_, epoch = training.train_epochs(task, hyper, states, source, epochs=2)
    losses = epoch.losses.mean(axis=1)
    assert len({float(loss) for loss in losses}) == len(MEMBERS)
    for number, member in enumerate(MEMBERS):
        state = training.init(task, member, SHAPE)
        *_, lone = training.train_epochs(task, member, state, training.place_images(images), epochs=2)
        assert lone.loss == pytest.approx(float(losses[number]), rel=1e-5)
        ours = jax.tree.map(lambda leaf, at=number: leaf[at], epoch.state.params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), ours, lone.state.params)


@pytest.mark.usefixtures("users_backends")
@pytest.mark.parametrize("backend", ["lanes", "unfold"])
@pytest.mark.parametrize("name", ["mnist", "cifar"])
def test_batched_over_weights_nothing_becomes_a_grouped_convolution(name, backend):
    assert backend in (ops.resolve_backend("auto", platform, ensemble=True) for platform in ("cpu", "gpu"))
    model = networks.build(name, backend)
    images = jnp.zeros((2, *model.image_shape))
    params = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
    many = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((3, *leaf.shape), leaf.dtype), params)

    def loss(params, images):
        return jnp.mean(jnp.square(model.apply({"params": params}, images) - images))

    text = jax.jit(jax.vmap(jax.grad(loss), in_axes=(0, None))).lower(many, images).as_text()
    assert "stablehlo.convolution" not in text
    assert "stablehlo.dot_general" in text
