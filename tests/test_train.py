import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxae import models, noise, train
from jaxae.digest import digest
from jaxae.errors import UserError


def make_task(batch_size=8, kind="gaussian", name="mnist"):
    # XLA's own convolution, so that what is tested here is training alone
    return train.Task(models.build(name, "xla"), optax.adam(1.0), noise.parse(kind), batch_size)


def make_member(task, seed=0):
    return train.make_member(task, seed, 1e-3)


def make_images(count, shape=(28, 28, 1)):
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8))


def copy(state):
    return jax.tree.map(jnp.copy, state)


def test_an_epoch_is_its_steps_one_after_another():
    task, images = make_task(), make_images(27)  # three full batches and a remainder of three images
    member = make_member(task)
    state = train.init(task, member, (28, 28, 1))
    after, losses = train.train_epoch(task, member, copy(state), images)

    order = jax.random.permutation(jax.random.fold_in(jax.random.fold_in(member.key, train.SHUFFLE), 0), 27)
    step = jax.jit(train.train_step, static_argnums=0)
    expected = []
    for number in range(3):
        clean = train.to_float(images[order[number * 8 : number * 8 + 8]])
        noise_key = jax.random.fold_in(jax.random.fold_in(member.key, train.NOISE), number)
        state, loss = step(task, member, state, task.noise(noise_key, clean), clean)
        expected.append(loss)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), after.params, state.params)
    assert after.step == 3


def test_stopping_between_epochs_changes_no_bit():
    task, images = make_task(), make_images(32)
    member = make_member(task)
    *_, whole = train.fit(task, member, train.init(task, member, (28, 28, 1)), images, epochs=3)
    *_, half = train.fit(task, member, train.init(task, member, (28, 28, 1)), images, epochs=1)
    rest = list(train.fit(task, member, half.state, images, epochs=3))
    assert [epoch.number for epoch in rest] == [2, 3]
    assert digest(rest[-1].state) == digest(whole.state)


def test_the_seed_decides_every_bit():
    task, images = make_task(), make_images(16)

    def run(seed):
        member = make_member(task, seed)
        *_, last = train.fit(task, member, train.init(task, member, (28, 28, 1)), images, epochs=1)
        return digest(last.state.params)

    assert run(0) == run(0) != run(1)


def test_each_epoch_has_an_order_and_noise_of_its_own():
    # A learning rate of 0 leaves the weights alone, so losses differ by order and noise only.
    def two_epochs(kind):
        task = make_task(kind=kind)
        member = train.make_member(task, 0, 0.0)
        state, first = train.train_epoch(task, member, train.init(task, member, (28, 28, 1)), images)
        return first, train.train_epoch(task, member, state, images)[1]

    images = make_images(16)
    first, second = two_epochs("gaussian")
    assert not np.array_equal(first, second)
    first, second = two_epochs("none")
    assert not np.array_equal(first, second)  # other batches
    np.testing.assert_allclose(first.mean(), second.mean(), rtol=1e-6)  # of the same images, each once


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(UserError, match="use at most 7"):
        train.steps_per_epoch(7, 8)
    assert train.steps_per_epoch(8, 8) == 1


@pytest.mark.parametrize(
    ("name", "shape", "golden"),
    [
        ("mnist", (28, 28, 1), [0.08778238, 0.08786836, 0.08917695]),
        ("cifar", (32, 32, 3), [0.08567350, 0.08535256, 0.08399233]),
    ],
)
def test_training_gives_the_golden_losses(name, shape, golden):
    """Fails when what a step computes has changed: update the figures only if it was meant to."""
    task, images = make_task(name=name), make_images(24, shape)
    member = make_member(task)
    _, losses = train.train_epoch(task, member, train.init(task, member, shape), images)
    np.testing.assert_allclose(losses, golden, rtol=2e-5)


def test_the_data_is_an_argument_of_the_epoch_and_not_part_of_its_program():
    task, images = make_task(), make_images(64)
    member = make_member(task)
    text = train.train_epoch.lower(task, member, train.init(task, member, (28, 28, 1)), images).as_text()
    assert "tensor<64x28x28x1xui8>" in text
    assert len(text) < 500_000


def test_a_noisy_target_is_a_second_noisy_copy():
    task, images = make_task()._replace(target="noisy"), make_images(8)
    member = train.make_member(task, 0, 0.0)
    _, losses = train.train_epoch(task, member, train.init(task, member, (28, 28, 1)), images)
    _, clean = train.train_epoch(task._replace(target="clean"), member, train.init(task, member, (28, 28, 1)), images)
    # independent noise of factor 0.5 in the target adds its variance to the loss
    np.testing.assert_allclose(losses - clean, 0.25, atol=0.02)
