import jax
import numpy as np

from jaxae.data.images import Images
from jaxae.data.rows import ImageRows


def test_batches_are_taken_from_rows_as_from_images():
    clean, noisy = np.random.default_rng(0).integers(0, 256, (2, 5, 3, 4, 2), np.uint8)
    for images in (Images(clean), Images(clean, noisy)):
        rows = ImageRows.of(images)
        assert all(row.shape == (5, 24) for row in jax.tree.leaves(rows))
        assert (rows.count, rows.shape) == (images.count, images.shape)
        for indices in (np.array([4, 0, 4]), np.array([[1, 2]]), 3):
            jax.tree.map(np.testing.assert_array_equal, rows.take(indices), images.take(indices))
