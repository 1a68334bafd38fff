import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import networks, noise, ops, training
from jaxae.data import Images
from jaxae.errors import UserError
from jaxae.runs.digest import tree_digest
from jaxae.training import step


def make_task(batch_size=8, name="mnist"):
    # XLA's own convolution, so that what is tested here is training alone
    return training.Task(networks.build(name, "xla"), training.make_optimizer("plain", 0), batch_size)


def make_hyper(seed=0, rate=1e-3, kind="gaussian"):
    return training.hyperparameters(seed, rate, noise.parse(kind))


def make_images(count, shape=(28, 28, 1)):
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8))


def train_epoch(task, hyper, state, images):
    return ops.jit(training.train_epoch, static_argnums=0)(task, hyper, state, Images(images))


def fit(task, hyper, images, epochs, state=None):
    state = training.init(task, hyper, (28, 28, 1)) if state is None else state
    return list(training.train_epochs(task, hyper, state, training.place_images(images), epochs))


def test_an_epoch_is_its_steps_one_after_another():
    task, images = make_task(), make_images(27)  # three full batches and a remainder of three images
    hyper = make_hyper()
    state = training.init(task, hyper, (28, 28, 1))
    after, losses = train_epoch(task, hyper, state, images)

    order = jax.random.permutation(jax.random.fold_in(jax.random.fold_in(hyper.key, step.SHUFFLE), 0), 27)
    train_step = ops.jit(training.train_step, static_argnums=0)
    expected = []
    for number in range(3):
        clean = training.to_float(images[order[number * 8 : number * 8 + 8]])
        noise_key = jax.random.fold_in(jax.random.fold_in(hyper.key, step.NOISE), number)
        state, loss = train_step(task, hyper, state, (hyper.noise(noise_key, clean), clean))
        expected.append(loss)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), after.params, state.params)
    assert after.step == 3


def test_stopping_between_epochs_changes_no_bit():
    task, images, hyper = make_task(), make_images(32), make_hyper()
    *_, whole = fit(task, hyper, images, 3)
    *_, half = fit(task, hyper, images, 1)
    rest = fit(task, hyper, images, 3, half.state)
    assert [epoch.number for epoch in rest] == [2, 3]
    assert tree_digest(rest[-1].state) == tree_digest(whole.state)


def test_the_seed_decides_every_bit():
    task, images = make_task(), make_images(16)

    def run(seed):
        return tree_digest(fit(task, make_hyper(seed), images, 1)[-1].state.params)

    assert run(0) == run(0) != run(1)


def test_each_epoch_has_an_order_and_noise_of_its_own():
    # A learning rate of 0 leaves the weights alone, so losses differ by order and noise only.
    def two_epochs(kind):
        task, hyper = make_task(), make_hyper(rate=0.0, kind=kind)
        state, first = train_epoch(task, hyper, training.init(task, hyper, (28, 28, 1)), images)
        return first, train_epoch(task, hyper, state, images)[1]

    images = make_images(16)
    first, second = two_epochs("gaussian")
    assert not np.array_equal(first, second)
    first, second = two_epochs("none")
    assert not np.array_equal(first, second)  # other batches
    np.testing.assert_allclose(first.mean(), second.mean(), rtol=1e-6)  # of the same images, each once


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(UserError, match="`batch_size` 8: more than the 7 training images; use at most 7"):
        training.steps_per_epoch(7, 8)
    assert training.steps_per_epoch(8, 8) == 1


@pytest.mark.parametrize(
    ("name", "shape", "golden"),
    [
        ("mnist", (28, 28, 1), [0.08778238, 0.08786836, 0.08917695]),
        ("cifar", (32, 32, 3), [0.08567350, 0.08535256, 0.08399233]),
    ],
)
def test_training_gives_the_golden_losses(name, shape, golden):
    """Fails when what a step computes has changed: update the values only if it was meant to."""
    task, images, hyper = make_task(name=name), make_images(24, shape), make_hyper()
    _, losses = train_epoch(task, hyper, training.init(task, hyper, shape), images)
    np.testing.assert_allclose(losses, golden, rtol=2e-5)


def test_images_that_are_floats_already_are_refused():
    unchecked = getattr(step.to_float, "__wrapped__", step.to_float)  # as without the tests' own checks of types
    with pytest.raises(UserError, match="images of float32 where uint8 from 0 to 255 is needed"):
        unchecked(jnp.zeros((1, 4, 4, 1)))


def test_the_data_is_an_argument_of_the_epoch_and_not_part_of_its_program():
    task, hyper = make_task(), make_hyper()
    source = training.place_images(make_images(64))
    text = source.lower(task, hyper, training.init(task, hyper, (28, 28, 1))).as_text()
    assert "tensor<64x784xui8>" in text
    assert len(text) < 500_000


def test_runs_that_differ_in_their_hyperparameters_share_a_program():
    task, images = make_task(), make_images(8)
    program = ops.jit(training.train_epoch, static_argnums=0)
    program.clear_cache()
    for hyper in (make_hyper(0), training.hyperparameters(1, 1e-2, noise.parse("gaussian", "0.1..0.7"))):
        program(task, hyper, training.init(task, hyper, (28, 28, 1)), Images(images))
    assert program._cache_size() == 1


def test_a_second_run_like_the_first_compiles_nothing():
    def run() -> list[str]:
        compiled = []

        def note(event: str, seconds: float, **_: object) -> None:
            if event == "/jax/core/compile/backend_compile_duration":
                compiled.append(event)

        # a batch like no other test's
        task = training.Task(networks.build("mnist", "xla"), training.make_optimizer("plain", 2), batch_size=7)
        hyper = training.hyperparameters(0, 1e-3, noise.parse("gaussian", 0.5))
        images = training.place_images(np.zeros((14, 28, 28, 1), np.uint8))
        jax.monitoring.register_event_duration_secs_listener(note)
        try:
            list(training.train_epochs(task, hyper, training.init(task, hyper, images.shape[1:]), images, epochs=1))
        finally:
            jax.monitoring.unregister_event_duration_listener(note)
        return compiled

    assert run()
    assert not run()


def test_every_draw_of_a_step_has_a_key_of_its_own():
    hyper = make_hyper()
    keys = step.step_keys(hyper, jnp.int32(5), 2)
    uses = [jax.random.fold_in(hyper.key, use) for use in (step.NOISE, step.TARGET_NOISE, step.PROBE)]
    expected = jnp.stack([jnp.stack([jax.random.fold_in(use, number) for use in uses]) for number in (5, 6)])
    np.testing.assert_array_equal(jax.random.key_data(keys), jax.random.key_data(expected))
    assert len(np.unique(jax.random.key_data(keys).reshape(6, -1), axis=0)) == 6


def test_a_state_is_drawn_as_a_part_of_another_program_too():
    task, hyper = make_task(), make_hyper()

    def draw(hyper):
        return training.init(task, hyper, (28, 28, 1))

    alone = draw(hyper)
    jax.tree.map(np.testing.assert_array_equal, ops.jit(draw)(hyper), alone)
    assert jax.eval_shape(draw, hyper) == jax.eval_shape(lambda: alone)
    mapped = jax.vmap(draw)(jax.tree.map(lambda leaf: leaf[None], hyper))
    jax.tree.map(lambda many, one: np.testing.assert_array_equal(many[0], one), mapped, alone)
