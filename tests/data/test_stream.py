import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxae import data
from jaxae.data import Images, stream
from jaxae.data.stream import Stream
from jaxae.errors import UserError

SHAPE = (28, 28, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (60, *SHAPE), np.uint8)  # 7 batches of 8 and a remainder
THREE_BATCHES = 3 * 8 * 28 * 28
SHARDING = NamedSharding(jax.make_mesh((2,), ("images",), devices=jax.devices()[:2]), PartitionSpec(None, "images"))


def test_chunks_are_the_batches_in_order():
    order = np.arange(56).reshape(7, 8)[::-1]
    chunks = list(Stream(Images(IMAGES), THREE_BATCHES).chunks(order, 7, SHARDING))
    assert [count for _, count in chunks] == [3, 3, 1]
    assert {images.shape for images, _ in chunks} == {(3, 8, *SHAPE)}
    batches = np.concatenate([np.asarray(images.clean)[:count] for images, count in chunks])
    np.testing.assert_array_equal(batches, IMAGES[order])


def test_pairs_stay_together_and_take_twice_the_room():
    order = np.arange(56).reshape(7, 8)
    pairs = Images(IMAGES, 255 - IMAGES)
    for images, count in Stream(pairs, 2 * THREE_BATCHES).chunks(order, 7, SHARDING):
        assert images.clean.shape == images.noisy.shape == (3, 8, *SHAPE)
        np.testing.assert_array_equal(images.noisy[:count], 255 - images.clean[:count])


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
    images, _ = next(Stream(Images(Source())).chunks(order, 1, SHARDING))
    assert sorted(asked) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    np.testing.assert_array_equal(np.asarray(images.clean)[0], IMAGES[:8])


def test_records_are_the_images(prepared_data):
    mnist = data.open("mnist", prepared_data)
    images, records = mnist.load("test"), mnist.records("test", limit=6000)
    assert records.shape == (6000, *SHAPE)
    assert records.nbytes == 6000 * 28 * 28
    assert mnist.nbytes("test") == images.nbytes == images.clean.nbytes
    indices = np.random.default_rng(0).permutation(6000)[:5000]  # more than are read at once
    np.testing.assert_array_equal(records.take(indices).clean, images.take(indices).clean)
    with pytest.raises(UserError, match=r"no split 'validation'; its splits: test, train; see `test_split`"):
        data.open("mnist", prepared_data, test_split="validation").records("test")


def test_half_of_the_memory_may_be_images(monkeypatch):
    monkeypatch.setattr(stream.machine, "free_memory", lambda: 9000)  # 1000 each: the host, 8 devices
    assert stream.fits_device(500)
    assert not stream.fits_device(501)
    assert stream.fits_host(4500)
    assert not stream.fits_host(4501)
