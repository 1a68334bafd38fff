"""Losses that need no clean image: what they ask of the network, and what they come to in expectation."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from jaxae import models, noise, ops, training
from jaxae.data.stream import Stream
from jaxae.run.digest import digest
from jaxae.training import Task, parallel, self_supervised
from jaxae.training.self_supervised import GRID

IMAGES = np.random.default_rng(0).integers(0, 256, (48, 8, 8, 3), np.uint8)


class Linear(nn.Module):
    """A network of which everything is known: y ↦ A y over the pixels of each image."""

    @nn.compact
    def __call__(self, images):
        matrix = self.param("matrix", nn.initializers.normal(0.2), (images[0].size,) * 2)
        return (images.reshape(len(images), -1) @ matrix.T).reshape(images.shape)


def test_every_pixel_is_masked_once_in_a_round_of_shifts():
    masks = self_supervised.grid(28, 30, jnp.arange(GRID**2, dtype=jnp.int32))
    np.testing.assert_array_equal(masks.sum(0), np.ones((28, 30, 1)))
    assert set(np.unique(masks)) == {0, 1}


def test_neighbours_are_weighted_as_in_noise2self():
    from scipy.ndimage import correlate

    images = np.random.default_rng(1).random((2, 9, 7, 3), np.float32)
    kernel = np.array([[0.5, 1, 0.5], [1, 0, 1], [0.5, 1, 0.5]]) / 6
    wanted = correlate(images, kernel[None, :, :, None], mode="mirror")
    np.testing.assert_allclose(self_supervised.neighbours(jnp.asarray(images)), wanted, atol=1e-6)


def test_a_masked_pixel_has_no_say_in_what_it_is_compared_with():
    model = models.build("cifar", "xla")
    params = model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))["params"]
    noisy = jax.random.uniform(jax.random.key(1), (1, 32, 32, 3))
    shifts = jnp.int32([5])
    mask = self_supervised.grid(32, 32, shifts)
    other = noisy + mask * 0.3  # masked pixels alone are changed

    def restored(noisy):
        images, _, _ = self_supervised.prepare("self", noisy, shifts, jax.random.key(2), jnp.float32(0))
        return model.apply({"params": params}, images)

    assert mask.sum() == 64
    np.testing.assert_allclose(restored(noisy) * mask, restored(other) * mask, atol=1e-6)


def test_the_loss_of_noise2self_is_the_error_at_masked_pixels():
    noisy = jnp.asarray(np.random.default_rng(2).random((3, 8, 8, 3), np.float32))
    shifts = jnp.int32([0, 6, 15])
    batch = self_supervised.prepare("self", noisy, shifts, jax.random.key(0), jnp.float32(0))
    params = {"matrix": jnp.eye(8 * 8 * 3)}
    losses = self_supervised.losses("self", Linear(), params, *batch)
    filled = np.asarray(self_supervised.neighbours(noisy))
    for number, shift in enumerate((0, 6, 15)):
        at = np.s_[number, shift // GRID :: GRID, shift % GRID :: GRID]
        np.testing.assert_allclose(losses[number], np.mean((filled[at] - np.asarray(noisy)[at]) ** 2), rtol=1e-5)


def test_sure_estimates_the_error_to_the_clean_image():
    deviation, draws = 0.3, 4096
    clean = jax.random.uniform(jax.random.key(0), (4, 4, 1))
    params = Linear().init(jax.random.key(1), clean[None])["params"]
    noisy = clean[None] + deviation * jax.random.normal(jax.random.key(2), (draws, 4, 4, 1))
    shifts = jnp.zeros(draws, jnp.int32)
    batch = self_supervised.prepare("sure", noisy, shifts, jax.random.key(3), jnp.float32(deviation))
    estimates = np.asarray(self_supervised.losses("sure", Linear(), params, *batch))
    errors = np.mean(np.square(np.asarray(Linear().apply({"params": params}, noisy) - clean[None])), axis=(1, 2, 3))
    difference = estimates - errors
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(draws)
    assert abs(difference.mean()) < 0.05 * errors.mean()


def test_the_divergence_is_the_trace_of_the_jacobian():
    params = Linear().init(jax.random.key(1), jnp.zeros((1, 4, 4, 1)))["params"]
    noisy = jnp.broadcast_to(jax.random.uniform(jax.random.key(0), (4, 4, 1)), (4096, 4, 4, 1))
    shifts = jnp.zeros(4096, jnp.int32)
    at_one, at_none = (
        self_supervised.losses(
            "sure",
            Linear(),
            params,
            *self_supervised.prepare("sure", noisy, shifts, jax.random.key(3), jnp.float32(deviation)),
        )
        for deviation in (1.0, 0.0)
    )
    trace = np.trace(params["matrix"]) / 16
    np.testing.assert_allclose(np.mean(at_one - at_none), 2 * trace - 1, atol=0.02)


def run(target, source, devices=None, kind="gaussian", epochs=1):
    model = models.build("cifar", "xla")
    task = Task(model, optax.adam(1.0), 16, target, devices, None if kind == "gaussian" else 0.1)
    corruption = noise.parse(kind, 0.1 if kind == "gaussian" else None)
    hyper = training.hyperparameters(0, 1e-3, corruption)
    hyper, state = parallel.put((hyper, training.init(task, hyper, (8, 8, 3))), devices)
    *_, last = training.fit(task, hyper, state, training.source(source, devices), epochs)
    return last


@pytest.mark.parametrize("target", ["self", "sure"])
def test_a_stream_and_eight_devices_train_as_one_device_does(target):
    alone = run(target, IMAGES, epochs=2)
    streamed = run(target, Stream(IMAGES, chunk_bytes=20 * IMAGES[0].nbytes), epochs=2)
    spread = run(target, IMAGES, parallel.find(8), epochs=2)
    for other in (streamed, spread):
        np.testing.assert_allclose(np.asarray(other.losses), np.asarray(alone.losses), rtol=2e-4)
        leaves = zip(*(jax.tree.leaves(end.state.params) for end in (other, alone)), strict=True)
        for ours, theirs in leaves:
            np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), atol=2e-5)


def test_each_image_keeps_its_one_noisy_copy():
    task = Task(models.build("cifar", "xla"), optax.adam(1.0), 16, "self")
    hyper = training.hyperparameters(0, 1e-3, noise.parse("gaussian", 0.1))
    alone = ops.jit(training.step._alone, static_argnums=0)
    indices = jnp.arange(16, dtype=jnp.int32)
    clean = training.to_float(jnp.asarray(IMAGES[:16]))
    _, first, first_mask = alone(task, hyper, jnp.int32(0), clean, indices)
    _, later, later_mask = alone(task, hyper, jnp.int32(7), clean[::-1], indices[::-1])
    np.testing.assert_array_equal(first, later[::-1])
    assert (first_mask != later_mask[::-1]).any()
    _, another, _ = alone(task, hyper, jnp.int32(0), clean, indices + 1)
    assert digest(another) != digest(first)
