"""What objectives ask of a network, what their losses are in expectation, and when they are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from jaxae import networks, noise, ops, training
from jaxae.data import Images
from jaxae.data.stream import Stream
from jaxae.errors import UserError
from jaxae.runs.digest import tree_digest
from jaxae.training import OBJECTIVES, Draws, Objective, Task, objectives, parallel, resolve_objective, step
from tests.small_run import random_params

IMAGES = np.random.default_rng(0).integers(0, 256, (48, 8, 8, 3), np.uint8)
NONE, GAUSSIAN = noise.parse("none"), noise.parse("gaussian", 0.1)


class Linear(nn.Module):
    """A network of which everything is known: y ↦ A y over the pixels of each image."""

    @nn.compact
    def __call__(self, images):
        matrix = self.param("matrix", nn.initializers.normal(0.2), (images[0].size,) * 2)
        return (images.reshape(len(images), -1) @ matrix.T).reshape(images.shape)


def draws(count, step=0, seed=0):
    """Draws for `count` images; image number i has the mask of shift `step` + i."""
    keys = jax.random.split(jax.random.key(seed), 4)
    return Draws(*keys, jnp.int32(step), jnp.arange(count, dtype=jnp.int32))


def losses(objective, params, noisy, seed=0):
    """The losses of a linear network on images that are noisy themselves."""
    batch = objective.prepare(Images(noisy), NONE, draws(len(noisy), seed=seed))
    return objective.losses(lambda images: Linear().apply({"params": params}, images), batch)


def test_pairs_are_compared_with_their_clean_images_and_noise_is_added_to_the_noisy_ones():
    clean, noisy = jnp.zeros((2, 4, 4, 1)), jnp.ones((2, 4, 4, 1))
    given, target = Objective().prepare(Images(clean, noisy), GAUSSIAN, draws(2))
    np.testing.assert_array_equal(given, GAUSSIAN(draws(2).noise, noisy))
    np.testing.assert_array_equal(target, clean)
    given, target = Objective().prepare(Images(clean), GAUSSIAN, draws(2))
    np.testing.assert_array_equal(given, GAUSSIAN(draws(2).noise, clean))
    np.testing.assert_allclose(Objective().losses(lambda images: images, (given, target)), np.square(given), rtol=1e-6)


@pytest.mark.parametrize("name", ["clean", "noisy", "self", "sure"])
def test_microbatches_add_up_to_the_whole_batch(name):
    objective, images = OBJECTIVES[name](None), jnp.asarray(IMAGES[:19], jnp.float32) / 255
    params = Linear().init(jax.random.key(0), images)["params"]
    batch = objective.prepare(Images(images), GAUSSIAN, draws(19))

    def losses(params, *batch):
        return objective.losses(lambda images: Linear().apply({"params": params}, images), batch)

    in_parts, whole = (ops.microbatch.value_and_grad(losses, most)(params, *batch) for most in (8, None))
    assert ops.microbatch.part_size(19, 8) == 8
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6), in_parts, whole)


def test_every_pixel_is_masked_once_in_a_round_of_shifts():
    masks = objectives.grid(28, 30, jnp.arange(objectives.GRID**2, dtype=jnp.int32))
    np.testing.assert_array_equal(masks.sum(0), np.ones((28, 30, 1)))
    assert set(np.unique(masks)) == {0, 1}


def test_neighbours_are_weighted_as_in_noise2self():
    from scipy.ndimage import correlate

    images = np.random.default_rng(1).random((2, 9, 7, 3), np.float32)
    kernel = np.array([[0.5, 1, 0.5], [1, 0, 1], [0.5, 1, 0.5]]) / 6
    wanted = correlate(images, kernel[None, :, :, None], mode="mirror")
    np.testing.assert_allclose(objectives.neighbours(jnp.asarray(images)), wanted, atol=1e-6)


def test_the_output_at_a_masked_pixel_does_not_depend_on_it():
    model = networks.build("cifar", "xla")
    params = random_params("cifar")
    noisy = jax.random.uniform(jax.random.key(1), (1, 32, 32, 3))
    mask = objectives.grid(32, 32, jnp.int32([5]))
    other = noisy + mask * 0.3  # only masked pixels are changed

    def output(noisy):
        masked, _, used = objectives.Noise2Self().prepare(Images(noisy), NONE, draws(1, step=5))
        np.testing.assert_array_equal(used, mask)
        return model.apply({"params": params}, masked)

    assert mask.sum() == 64
    np.testing.assert_allclose(output(noisy) * mask, output(other) * mask, atol=1e-6)


def test_the_loss_of_noise2self_is_the_error_at_masked_pixels():
    noisy = jnp.asarray(np.random.default_rng(2).random((16, 8, 8, 3), np.float32))
    found = losses(objectives.Noise2Self(), {"matrix": jnp.eye(8 * 8 * 3)}, noisy)
    filled = np.asarray(objectives.neighbours(noisy))
    for shift in (0, 6, 15):
        at = np.s_[shift, shift // objectives.GRID :: objectives.GRID, shift % objectives.GRID :: objectives.GRID]
        np.testing.assert_allclose(found[shift], np.mean((filled[at] - np.asarray(noisy)[at]) ** 2), rtol=1e-5)


def test_sure_estimates_the_error_to_the_clean_image():
    sigma, count = 0.3, 4096
    clean = jax.random.uniform(jax.random.key(0), (4, 4, 1))
    params = Linear().init(jax.random.key(1), clean[None])["params"]
    noisy = clean[None] + sigma * jax.random.normal(jax.random.key(2), (count, 4, 4, 1))
    estimates = np.asarray(losses(objectives.Sure(sigma), params, noisy, seed=3))
    errors = np.mean(np.square(np.asarray(Linear().apply({"params": params}, noisy) - clean[None])), axis=(1, 2, 3))
    difference = estimates - errors
    assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(count)
    assert abs(difference.mean()) < 0.05 * errors.mean()


def test_the_divergence_is_the_trace_of_the_jacobian():
    params = Linear().init(jax.random.key(1), jnp.zeros((1, 4, 4, 1)))["params"]
    noisy = jnp.broadcast_to(jax.random.uniform(jax.random.key(0), (4, 4, 1)), (4096, 4, 4, 1))
    at_one, at_none = (losses(objectives.Sure(sigma), params, noisy, seed=3) for sigma in (1.0, 0.0))
    trace = np.trace(params["matrix"]) / 16
    np.testing.assert_allclose(np.mean(at_one - at_none), 2 * trace - 1, atol=0.02)


def test_sure_takes_sigma_from_the_noise_that_it_adds_and_a_direction_from_its_own_key():
    _, direction, sigma = objectives.Sure().prepare(Images(jnp.zeros((3, 4, 4, 1))), GAUSSIAN, draws(3))
    np.testing.assert_array_equal(sigma.ravel(), np.float32([0.1] * 3))
    np.testing.assert_array_equal(direction, jax.random.rademacher(draws(3).probe, (3, 4, 4, 1), jnp.float32))
    *_, sigma = objectives.Sure(0.3).prepare(Images(jnp.zeros((3, 4, 4, 1))), NONE, draws(3))
    np.testing.assert_array_equal(sigma.ravel(), np.float32([0.3] * 3))


def test_noise2noise_draws_two_copies():
    images = jnp.full((2, 4, 4, 1), 0.5)
    given, target = objectives.Noise2Noise().prepare(Images(images), GAUSSIAN, draws(2))
    np.testing.assert_array_equal(given, GAUSSIAN(draws(2).noise, images))
    np.testing.assert_array_equal(target, GAUSSIAN(draws(2).second, images))


def test_each_image_keeps_its_one_noisy_copy():
    task = Task(networks.build("cifar", "xla"), optax.adam(1.0), 16, objectives.Noise2Self())
    hyper, indices, images = training.hyperparameters(0, 1e-3, GAUSSIAN), jnp.arange(16, dtype=jnp.int32), IMAGES[:16]

    def prepare(number, images, indices):
        number = jnp.int32(number)
        [keys] = step.step_keys(hyper, number, 1)
        return step.prepare_batch(task, hyper, number, Images(jnp.asarray(images)), indices, keys)

    _, first, first_mask = prepare(0, images, indices)
    _, later, later_mask = prepare(7, images[::-1], indices[::-1])
    np.testing.assert_array_equal(first, later[::-1])
    assert (first_mask != later_mask[::-1]).any()
    _, another, _ = prepare(0, images, indices + 1)
    assert tree_digest(another) != tree_digest(first)


FITTING = {"sigma": None, "noise": GAUSSIAN, "has_pairs": False, "precision": "float32"}


@pytest.mark.parametrize(
    ("name", "differs", "objective"),
    [
        ("clean", {"noise": noise.parse("salt"), "precision": "bfloat16"}, Objective()),
        ("clean", {"has_pairs": True}, Objective()),
        ("noisy", {"noise": noise.parse("poisson")}, objectives.Noise2Noise()),
        ("self", {"noise": NONE, "precision": "bfloat16"}, objectives.Noise2Self()),
        ("sure", {}, objectives.Sure()),
        ("sure", {"noise": NONE, "sigma": 0.2}, objectives.Sure(0.2)),
    ],
)
def test_an_objective_that_can_be_reached_is_accepted(name, differs, objective):
    assert resolve_objective(name, **FITTING | differs) == objective


@pytest.mark.parametrize(
    ("name", "differs", "message"),
    [
        ("nosy", {}, "no training target 'nosy'; did you mean noisy"),
        ("self", {"has_pairs": True}, "`target` self: pairs have clean images to compare with"),
        ("noisy", {"noise": noise.parse("salt")}, "`target` noisy needs noise that keeps the mean, not salt 0.2"),
        ("self", {"noise": noise.parse("gaussian", 0.1, clip=True)}, "poisson without `clip`"),
        ("clean", {"sigma": 0.1}, "`sigma` is for `target` sure on images that are noisy themselves"),
        ("self", {"noise": NONE, "sigma": 0.1}, "`sigma` is for `target` sure"),
        ("sure", {"sigma": 0.1}, "without noise to add: omit it"),
        ("sure", {"precision": "bfloat16"}, "needs `precision` float32"),
        ("sure", {"noise": noise.parse("gaussian", "0.1..0.2")}, "one known strength, not gaussian 0.1..0.2"),
        ("sure", {"noise": noise.parse("poisson")}, "not poisson 10: take `target` self instead"),
        ("sure", {"noise": NONE}, "needs `sigma`, the standard deviation of their noise"),
    ],
)
def test_an_objective_that_cannot_be_reached_is_refused(name, differs, message):
    with pytest.raises(UserError, match=message) as caught:
        resolve_objective(name, **FITTING | differs)
    assert "\n" not in str(caught.value)


def test_images_are_noisy_themselves_only_without_noise_to_add():
    assert objectives.is_blind(objectives.Sure(0.1), NONE)
    assert not objectives.is_blind(objectives.Sure(), GAUSSIAN)
    assert not objectives.is_blind(Objective(), NONE)
    assert objectives.takes_noisy_images("self", "none")
    assert not objectives.takes_noisy_images("clean", "none")
    assert not objectives.takes_noisy_images("self", "gaussian")


def run(objective, source, devices=None, epochs=1):
    task = Task(networks.build("cifar", "xla"), optax.adam(1.0), 16, objective, devices)
    hyper = training.hyperparameters(0, 1e-3, GAUSSIAN)
    hyper, state = parallel.put((hyper, training.init(task, hyper, (8, 8, 3))), devices)
    *_, last = training.train_epochs(task, hyper, state, training.place_images(source, devices), epochs)
    return last


def test_a_stream_and_eight_devices_train_as_one_device_does():
    objective = OBJECTIVES["self"]()  # whose masks and noise depend on the step and the image
    alone = run(objective, IMAGES, epochs=2)
    streamed = run(objective, Stream(Images(IMAGES), chunk_bytes=20 * IMAGES[0].nbytes), epochs=2)
    spread = run(objective, IMAGES, parallel.find_devices(8), epochs=2)
    for other in (streamed, spread):
        np.testing.assert_allclose(np.asarray(other.losses), np.asarray(alone.losses), rtol=2e-4)
        leaves = zip(*(jax.tree.leaves(end.state.params) for end in (other, alone)), strict=True)
        for ours, theirs in leaves:
            np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), atol=2e-5)


def test_an_objective_of_ones_own_is_trained_by_name():
    @OBJECTIVES.register("absolute")
    class AbsoluteError(Objective):
        def losses(self, apply, batch):
            noisy, target = batch
            return jnp.abs(apply(noisy) - target)

    try:
        found = resolve_objective("absolute", None, GAUSSIAN, has_pairs=False, precision="float32")
        assert isinstance(found, AbsoluteError)
        ours, squared = run(found, IMAGES), run(Objective(), IMAGES)
        assert squared.loss < ours.loss < np.sqrt(squared.loss)
    finally:
        del OBJECTIVES["absolute"]


def test_the_psnr_objective_counts_images_of_strong_and_weak_noise_alike():
    target = jnp.zeros((2, 8, 8, 1))
    noisy = target + jnp.float32([0.1, 0.01])[:, None, None, None]
    objective = OBJECTIVES["psnr"]()
    losses = objective.losses(lambda images: images, (noisy, target))
    np.testing.assert_allclose(losses, [-20, -40], atol=0.01)
    grads = jax.grad(lambda scale: jnp.sum(objective.losses(lambda images: scale * images, (noisy, target))))
    np.testing.assert_allclose(grads(jnp.float32(1)), 2 * 20 / np.log(10), rtol=1e-2)
    assert np.isfinite(objective.losses(lambda images: target, (noisy, target))).all()
