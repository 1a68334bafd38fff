"""The loop over epochs, on a network that compiles soon."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import noise, ops, training
from jaxae.command import stopping
from jaxae.data import Images
from jaxae.data.stream import Stream
from jaxae.layers import Conv, ConvTranspose
from jaxae.networks import Autoencoder
from jaxae.runs.digest import tree_digest
from jaxae.training import ensemble, epochs, loop, parallel

SHAPE = (12, 12, 1)
PIXELS = np.random.default_rng(0).integers(0, 256, (60, *SHAPE), np.uint8)
TRAIN, TEST, VALIDATION = Images(PIXELS[:40]), Images(PIXELS[40:51]), Images(PIXELS[51:])
EPOCHS = 5


class Tiny(Autoencoder):
    image_shape = SHAPE

    def encoder_layers(self):
        return [Conv(self.ops, 1, 3, 3, padding=1)]

    def decoder_layers(self):
        return [ConvTranspose(self.ops, 3, 1, 3, padding=1)]


def make_task(devices=None):
    return training.Task(Tiny("xla"), training.make_optimizer("plain", 0), 16, devices=devices)


def make_hyper(seed=0, rate=1e-2):
    return training.hyperparameters(seed, rate, noise.parse("gaussian"))


def make_loop(images=TRAIN, devices=None, rate=1e-2, start=None, **options):
    task, hyper = make_task(devices), make_hyper(rate=rate)
    state = training.init(task, hyper, SHAPE) if start is None else start
    placed = training.place_images(images, devices)
    options = {"call_seconds": 0.0} | options
    return training.Loop(task, hyper, state, placed, TEST, VALIDATION, **options)


def finish(loop, done=0):
    """The last run state, and the numbers of all epochs, which have the same names everywhere."""
    calls = list(loop.calls(done, EPOCHS))
    columns = {name: np.concatenate([c.records[name][: c.epochs] for c in calls]) for name in calls[0].records}
    return jax.device_get(calls[-1].run), columns, [int(call.epochs) for call in calls]


def assert_close(ours, theirs, rtol=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-5), ours, theirs)


@pytest.fixture(scope="module")
def whole():
    """A run with one epoch in each call."""
    return finish(make_loop())


def test_the_number_of_epochs_in_a_call_changes_no_bit(whole, monkeypatch):
    monkeypatch.setattr("jaxae.training.loop.MOST", 3)
    monkeypatch.setattr("jaxae.training.epochs.MOST", 3)
    run, columns, counts = finish(make_loop(call_seconds=1e9))
    assert counts == [1, 3, 1]
    assert whole[2] == [1] * EPOCHS
    assert tree_digest(run) == tree_digest(whole[0])
    assert tree_digest(columns) == tree_digest(whole[1])


def test_a_run_that_goes_on_from_its_state_ends_the_same_and_keeps_its_best(whole):
    half = next(iter(make_loop().calls(0, 2))).run
    best = half.best._replace(score=jnp.float32(np.inf))
    rest, columns, _ = finish(make_loop(start=half.state, best=best), done=1)
    assert tree_digest(rest.state) == tree_digest(whole[0].state)
    assert tree_digest(columns) == tree_digest({name: values[1:] for name, values in whole[1].items()})
    assert tree_digest(rest.best) == tree_digest(jax.device_get(best))
    (epoch,) = training.train_epochs(make_task(), make_hyper(), half.state, training.place_images(TRAIN), 2)
    assert (epoch.number, int(epoch.state.step)) == (2, 4)


def test_the_best_state_has_the_highest_validation_score(whole):
    run, columns, _ = whole
    scores = columns["validation_psnr"]
    assert run.best.score == scores.max()
    assert run.best.state.step == 2 * (1 + scores.argmax())


def test_patience_ends_at_the_right_epoch_within_a_call(monkeypatch):
    monkeypatch.setattr("jaxae.training.loop.MOST", 2)  # a third call would follow
    run, columns, counts = finish(make_loop(rate=0.0, patience=2, call_seconds=1e9))  # the first epoch stays the best
    assert counts == [1, 2]
    assert run.best.state.step == 2
    assert run.state.step == 6
    assert len(set(columns["validation_psnr"].tolist())) == 1


def test_an_epoch_that_diverges_is_not_taken_over():
    loop = make_loop(rate=1e30, call_seconds=1e9)
    run, columns, counts = finish(loop)
    assert counts == [1]
    assert run.diverged
    assert not np.isfinite(columns["train_loss"][-1])
    assert tree_digest(run.state) == tree_digest(loop.run.state)


@pytest.mark.parametrize("place", ["losses", "means"])
def test_one_number_that_is_not_finite_is_enough_to_diverge(whole, place):
    run, losses = jax.tree.map(jnp.asarray, whole[0]), jnp.ones(2)
    measured = jax.tree.map(lambda leaf: leaf + 1, run.measured)
    if place == "losses":
        losses = losses.at[1].set(jnp.nan)
    else:
        measured.means["ssim"] = jnp.float32(jnp.inf)
    after, _ = epochs.take_over(run, jax.tree.map(jnp.zeros_like, run.state), losses, measured, measured)
    assert after.diverged
    assert tree_digest(jax.device_get(after._replace(diverged=run.diverged))) == tree_digest(whole[0])


def test_a_signal_is_noticed_while_the_device_computes(monkeypatch):
    class Array:
        asked = 0

        def is_ready(self):
            self.asked += 1
            return self.asked > 5

    checks = iter([None, None, stopping.Stopped()])

    def check():
        if (error := next(checks)) is not None:
            raise error

    monkeypatch.setattr(loop.stopping, "check", check)
    with pytest.raises(stopping.Stopped):
        loop.wait([Array()])


@pytest.mark.parametrize(
    "where",
    [
        {"images": Stream(TRAIN, chunk_bytes=1)},
        {"tests_on_device": False},
        {"devices": "jit"},
        {"devices": "pmap"},
    ],
    ids=["stream", "tests from the host", "two devices", "pmap"],
)
def test_wherever_images_are_the_run_is_the_same(whole, where):
    if "devices" in where:
        where = {"devices": parallel.find_devices(2, where["devices"])}
    run, columns, _ = finish(make_loop(**where))
    assert_close(columns, whole[1])
    assert_close(run.state, whole[0].state)
    assert_close(run.best, whole[0].best)
    for name, values in run.measured.values.items():
        np.testing.assert_allclose(values[: TEST.count], whole[0].measured.values[name][: TEST.count], rtol=1e-4)


def test_the_run_as_a_function_is_the_same_and_maps_over_hyperparameters(whole):
    task = make_task()

    def run(hyper):
        return training.run(task, hyper, training.init(task, hyper, SHAPE), TRAIN, TEST, EPOCHS)

    state, history = ops.jit(run)(make_hyper())
    assert_close(state, whole[0].state)
    assert_close(history, {name: whole[1][name] for name in history})
    several = ops.jit(jax.vmap(run))(ensemble.stack([make_hyper(), make_hyper(1, 1e-3)]))
    assert_close(jax.tree.map(lambda leaf: leaf[0], several), (state, history))


def test_members_end_as_alone_and_one_that_diverges_keeps_its_state(whole):
    task, members = make_task(), [make_hyper(), make_hyper(rate=1e30), make_hyper(1)]
    members += [make_hyper(seed) for seed in range(2, 11)]  # 12 on 8 devices
    hyper = ensemble.stack(members)
    states = training.init(task, hyper, SHAPE)
    images = ensemble.EnsembleImages(TRAIN, len(members))
    loop = training.Loop(task, hyper, states, images, TEST, VALIDATION, call_seconds=0.0)
    assert len(loop.run.state.step.sharding.device_set) == 6  # two members on each
    *_, call = loop.calls(0, EPOCHS)
    run = loop.fetch(call.run)
    assert run.state.step.tolist() == [10, 0] + [10] * 10
    assert run.diverged.tolist() == [False, True] + [False] * 10
    assert call.epochs.tolist() == [1, 0] + [1] * 10
    assert_close(jax.tree.map(lambda leaf: leaf[0], run.state), whole[0].state)
    again = training.Loop(task, hyper, jax.tree.map(jnp.asarray, run.state), images, TEST, call_seconds=0.0)
    assert again.run.diverged.tolist()[:12] == run.diverged.tolist()
