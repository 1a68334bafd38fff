import numpy as np

from jaxae import noise, ops
from jaxae.data import Images
from jaxae.training import testing

IMAGES = Images(np.random.default_rng(0).integers(0, 256, (3 * testing.BATCH_SIZE + 5, 12, 12, 1), np.uint8))


def test_images_that_are_moved_in_chunks_are_tested_like_those_on_the_device(monkeypatch):
    added = noise.parse("gaussian", 0.3)
    whole = ops.jit(testing.measure, static_argnums=(0, 1))(None, None, {}, added, testing.batch_images(IMAGES, 3))
    monkeypatch.setattr(testing, "CHUNK_BYTES", IMAGES.nbytes // 2)
    chunked = testing.measure_from_host(None, None, {}, added, IMAGES)
    for name, values in chunked.values.items():
        assert len(values) == IMAGES.count
        np.testing.assert_allclose(values, whole.values[name][: IMAGES.count], rtol=1e-6)
        np.testing.assert_allclose(chunked.means[name], whole.means[name], rtol=1e-6)
        np.testing.assert_allclose(chunked.means[name], np.mean(values, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(chunked.spread, whole.spread, rtol=1e-6)
