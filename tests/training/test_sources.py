import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import networks, noise, ops, training
from jaxae.data import Images
from jaxae.data.stream import Stream
from jaxae.errors import UserError
from jaxae.runs.digest import tree_digest
from jaxae.training import parallel, step

SHAPE = (28, 28, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (60, *SHAPE), np.uint8)  # 7 batches of 8 and a remainder
THREE_BATCHES = 3 * 8 * 28 * 28


def make_run(devices=None):
    task = training.Task(networks.build("mnist", "xla"), training.make_optimizer("plain", 0), 8, devices=devices)
    hyper = training.hyperparameters(0, 1e-3, noise.parse("gaussian"))
    return task, *parallel.put((hyper, training.init(task, hyper, SHAPE)), devices)


@pytest.fixture(scope="module")
def on_the_device():
    return list(training.train_epochs(*make_run(), training.place_images(IMAGES), epochs=2))


@pytest.mark.parametrize("chunk_bytes", [1, THREE_BATCHES, 2**30])
def test_a_stream_trains_as_the_device_does(on_the_device, chunk_bytes):
    epochs = list(
        training.train_epochs(*make_run(), training.place_images(Stream(Images(IMAGES), chunk_bytes)), epochs=2)
    )
    np.testing.assert_allclose([e.loss for e in epochs], [e.loss for e in on_the_device], rtol=1e-6)
    for ours, theirs in zip(*(jax.tree.leaves(run[-1].state.params) for run in (epochs, on_the_device)), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert epochs[-1].state.step == 14


def test_a_stream_goes_on_at_the_exact_batch():
    task, hyper, state = make_run()
    source = training.place_images(Stream(Images(IMAGES), THREE_BATCHES))
    *_, whole = training.train_epochs(task, hyper, jax.tree.map(jnp.copy, state), source, epochs=2)

    order = np.asarray(step.epoch_order(task, hyper, 0, len(IMAGES)))
    batches = jnp.asarray(IMAGES[order[:5].ravel()].reshape(5, 8, *SHAPE))
    chunk = ops.jit(step.train_chunk, static_argnums=0)
    state, _ = chunk(task, hyper, state, Images(batches), order, np.int32(5))  # stopped in the middle of a chunk
    *_, rest = training.train_epochs(task, hyper, state, source, epochs=2)
    assert tree_digest(rest.state) == tree_digest(whole.state)


def test_a_stream_under_pmap_is_refused():
    with pytest.raises(UserError, match="`parallel` jit, or `placement` device"):
        training.place_images(Stream(Images(IMAGES)), parallel.find_devices(2, "pmap"))
