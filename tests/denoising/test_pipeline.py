import numpy as np

from jaxae import noise
from jaxae.denoising.pipeline import add_picture_noise


def test_each_picture_and_each_page_has_noise_of_its_own_whatever_else_there_is():
    added, values = noise.parse("gaussian", 0.1), np.full((20, 30, 1), 0.5, np.float32)
    drawn = [add_picture_noise(added, number, page, values) for number, page in ((0, 0), (1, 0), (0, 1), (1, 1))]
    assert len({each.tobytes() for each in drawn}) == 4
    assert drawn[0].shape == values.shape
    np.testing.assert_array_equal(add_picture_noise(added, 1, 1, values), drawn[3])
