"""Crops are parts of the photographs, of other ones to test than to train; the grey ones have drawn contrasts."""

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


def test_grey_ones_are_mixtures_of_their_channels_with_another_mean_and_contrast(crops):
    grey = next(photo_crops_grey.generate("test", 200))[0]
    assert grey.shape == (200, *photo_crops_grey.SHAPE)
    signs, means = set(), []
    for image, crop in zip(grey, crops, strict=True):
        inside = (image[..., 0] > 0) & (image[..., 0] < 255)
        if inside.sum() < 1000 or np.ptp(crop) < 50:
            continue
        channels = np.column_stack([crop[inside].astype(np.float64), np.ones(inside.sum())])
        weights, *_ = np.linalg.lstsq(channels, image[..., 0][inside].astype(np.float64), rcond=None)
        assert np.abs(channels @ weights - image[..., 0][inside]).max() <= 1.5  # both were rounded
        signs.add(float(np.sign(weights[:3].sum())))
        means.append(image.mean())
    assert signs == {-1.0, 1.0}
    assert len(means) > 100
    assert np.std(means) > 40
