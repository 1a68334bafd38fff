import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxae import data, models, noise, parallel, plan, train
from jaxae.config import Config, DataConfig
from jaxae.data import stream
from jaxae.data.records import Records
from jaxae.data.stream import Stream
from jaxae.digest import digest
from jaxae.errors import UserError
from tests.test_train import copy

SHAPE = (28, 28, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (60, *SHAPE), np.uint8)  # 7 batches of 8 and a remainder
THREE_BATCHES = 3 * 8 * 28 * 28


def make_run(devices=None):
    task = train.Task(models.build("mnist", "xla"), optax.adam(1.0), noise.parse("gaussian"), 8, devices=devices)
    member = train.make_member(task, 0, 1e-3)
    return task, *parallel.put((member, train.init(task, member, SHAPE)), devices)


@pytest.fixture(scope="module")
def on_the_device():
    return list(train.fit(*make_run(), jnp.asarray(IMAGES), epochs=2))


@pytest.mark.parametrize("chunk_bytes", [1, THREE_BATCHES, 2**30])
def test_a_stream_trains_as_the_device_does(on_the_device, chunk_bytes):
    epochs = list(train.fit(*make_run(), Stream(IMAGES, chunk_bytes), epochs=2))
    np.testing.assert_allclose([e.loss for e in epochs], [e.loss for e in on_the_device], rtol=1e-6)
    for ours, theirs in zip(*(jax.tree.leaves(run[-1].state.params) for run in (epochs, on_the_device)), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert epochs[-1].state.step == 14


def test_a_stream_goes_on_at_the_exact_batch():
    task, member, state = make_run()
    source = Stream(IMAGES, THREE_BATCHES)
    *_, whole = train.fit(task, member, copy(state), source, epochs=2)

    order = np.asarray(train.epoch_order(task, member, 0, len(IMAGES)))
    batches = jnp.asarray(IMAGES[order[:5].ravel()].reshape(5, 8, *SHAPE))
    state, _ = train.train_batches(task, member, state, batches, np.int32(5))  # stopped in the middle of a chunk
    *_, rest = train.fit(task, member, state, source, epochs=2)
    assert digest(rest.state) == digest(whole.state)


def test_chunks_are_the_batches_in_order():
    order = np.arange(56).reshape(7, 8)[::-1]
    sharding = parallel.placement(parallel.find(2), axis=1)
    chunks = list(Stream(IMAGES, THREE_BATCHES).chunks(order, 7, sharding))
    assert [count for _, count in chunks] == [3, 3, 1]
    assert {batches.shape for batches, _ in chunks} == {(3, 8, *SHAPE)}
    batches = np.concatenate([np.asarray(batches)[:count] for batches, count in chunks])
    np.testing.assert_array_equal(batches, IMAGES[order])


def test_a_device_gets_its_part_alone():
    asked = []

    class Source:
        shape = IMAGES.shape

        def __len__(self):
            return len(IMAGES)

        def __getitem__(self, indices):
            asked.append(indices.tolist())
            return IMAGES[indices]

    order = np.arange(8).reshape(1, 8)
    batches, _ = next(Stream(Source()).chunks(order, 1, parallel.placement(parallel.find(2), axis=1)))
    assert sorted(asked) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    np.testing.assert_array_equal(np.asarray(batches)[0], IMAGES[:8])


def test_records_are_the_images(prepared_data):
    images = data.load("mnist", "test", prepared_data)
    records = Records(data.ensure("mnist", prepared_data), "test", limit=6000)
    assert records.shape == (6000, *SHAPE)
    assert records.nbytes == 6000 * 28 * 28
    indices = np.random.default_rng(0).permutation(6000)[:5000]  # more than are read at once
    np.testing.assert_array_equal(records[indices], images[indices])
    with pytest.raises(UserError, match="no split 'validation'"):
        Records(data.ensure("mnist", prepared_data), "validation")


@pytest.mark.parametrize(
    ("placement", "device", "host", "kind"),
    [
        ("auto", True, True, np.ndarray),
        ("auto", False, True, Stream),
        ("device", False, True, np.ndarray),
        ("stream", True, True, Stream),
        ("auto", False, False, Records),
    ],
)
def test_memory_decides_where_the_images_lie(prepared_data, monkeypatch, placement, device, host, kind):
    monkeypatch.setattr(plan, "fits_device", lambda size: device)
    monkeypatch.setattr(plan, "fits_host", lambda size: host)
    config = Config(data=DataConfig(name="mnist", dir=prepared_data, limit=40, placement=placement))
    images = plan.load_train_images(config, SHAPE)
    assert len(images) == 40
    assert isinstance(images.source if kind is Records else images, kind)
    if kind is Records:
        np.testing.assert_array_equal(images.source[np.arange(3)], data.load("mnist", "train", prepared_data)[:3])


def test_half_of_the_memory_may_be_images(monkeypatch):
    monkeypatch.setattr(stream, "host_memory", lambda: 9000)  # of which the host and 8 CPU devices have 1000 each
    assert stream.fits_device(500)
    assert not stream.fits_device(501)
    assert stream.fits_host(4500)
    assert not stream.fits_host(4501)


def test_the_host_has_memory():
    assert 2**27 < stream.host_memory() < 2**50
