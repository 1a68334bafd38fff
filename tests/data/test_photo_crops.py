"""Crops are parts of the photographs, of other ones to test than to train; the grey ones are their luminance."""

import numpy as np
import pytest

from jaxae.data import photo_crops, photo_crops_grey
from jaxae.data.photo_patches import load_reduced


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return next(photo_crops.generate("test", 200))[0]


def test_they_are_parts_of_the_photographs(crops):
    assert crops.shape == (200, *photo_crops.SHAPE)
    assert crops.dtype == np.uint8
    known = set()
    for name in photo_crops.PHOTOGRAPHS["test"]:
        for image in load_reduced(name):
            known |= {tuple(sorted(pixel)) for pixel in np.rint(255 * image).astype(np.uint8).reshape(-1, 3).tolist()}
    found = {tuple(sorted(pixel)) for pixel in crops.reshape(-1, 3).tolist()}
    assert found <= known
    assert len({crop.tobytes() for crop in crops}) == 200


def test_splits_share_no_photograph():
    assert not set(photo_crops.PHOTOGRAPHS["train"]) & set(photo_crops.PHOTOGRAPHS["test"])


def test_grey_ones_are_their_luminance(crops):
    grey = next(photo_crops_grey.generate("test", 200))[0]
    assert grey.shape == (200, *photo_crops_grey.SHAPE)
    np.testing.assert_array_equal(grey[..., 0], np.rint(crops @ np.float32([0.299, 0.587, 0.114])))
