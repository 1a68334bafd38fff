import numpy as np
import pytest

from jaxae import data
from jaxae.data import stream
from jaxae.data.records import Records
from jaxae.data.stream import Stream
from jaxae.errors import UserError
from jaxae.training import parallel

SHAPE = (28, 28, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (60, *SHAPE), np.uint8)  # 7 batches of 8 and a remainder
THREE_BATCHES = 3 * 8 * 28 * 28


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


def test_half_of_the_memory_may_be_images(monkeypatch):
    monkeypatch.setattr(stream, "host_memory", lambda: 9000)  # of which the host and 8 CPU devices have 1000 each
    assert stream.fits_device(500)
    assert not stream.fits_device(501)
    assert stream.fits_host(4500)
    assert not stream.fits_host(4501)


def test_the_host_has_memory():
    assert 2**27 < stream.host_memory() < 2**50
