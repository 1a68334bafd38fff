from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import embed, models
from jaxae.config import Config
from jaxae.run.trained import TrainedRun


def test_principal_components_are_those_of_the_covariance():
    codes = np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32) * np.array([5, 1, 1, 3, 1, 1], np.float32)
    points = embed.principal_components(codes)
    values, vectors = np.linalg.eigh(np.cov(codes.T, bias=True))
    expected = (codes - codes.mean(0)) @ vectors[:, ::-1][:, :2]
    np.testing.assert_allclose(np.abs(points), np.abs(expected), atol=1e-3)
    np.testing.assert_allclose(points.var(0), values[::-1][:2], rtol=1e-3)


@pytest.mark.parametrize("name", models.MODELS)
def test_codes_are_the_encoders(name):
    model = models.build(name)
    images = np.random.default_rng(0).integers(0, 256, (embed.BATCH_SIZE + 2, *model.image_shape), np.uint8)
    params = jax.jit(model.init)(jax.random.key(0), jnp.asarray(images[:1] / np.float32(255)))["params"]
    codes = embed.encode(TrainedRun(Path("run"), Config(), model, params, 1), images)
    encode = jax.jit(lambda images: model.apply({"params": params}, images, method="encode"))
    last = encode(jnp.asarray(images[-2:] / np.float32(255)))
    assert codes.shape == (len(images), *last.shape[1:])
    np.testing.assert_allclose(codes[-2:], last, atol=1e-5)


def test_the_picture_shows_points_with_and_without_labels():
    points = np.random.default_rng(0).normal(size=(50, 2))
    for labels, groups in ((None, 1), (np.arange(50) % 10, 10)):
        figure = embed.picture(points, labels, "title")
        assert sum(len(drawn.get_offsets()) for drawn in figure.axes[0].collections) == 50
        assert len(figure.axes[0].collections) == groups
