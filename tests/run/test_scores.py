import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from jaxae import noise
from jaxae.run import scores, summary
from jaxae.run.test_set import TestSet

IMAGES = np.random.default_rng(0).integers(0, 256, (scores.BATCH_SIZE + 3, 16, 16, 1), np.uint8)


def test_every_image_counts_once_whatever_fills_the_last_batch():
    whole = scores.score(None, {}, TestSet("random", IMAGES, noise.parse("none")))
    assert len(whole.mse) == len(IMAGES)
    assert np.all(whole.mse == 0)
    few = scores.score(None, {}, TestSet("random", IMAGES[:5], noise.parse("gaussian", 0.3)))
    many = scores.score(None, {}, TestSet("random", IMAGES, noise.parse("gaussian", 0.3)))
    np.testing.assert_array_equal(few.psnr, many.psnr[:5])


def test_every_image_has_noise_of_its_own():
    same = np.repeat(IMAGES[:1], 2 * scores.BATCH_SIZE, axis=0)
    mse = scores.score(None, {}, TestSet("random", same, noise.parse("gaussian", 0.3))).mse
    assert len(np.unique(mse)) > len(mse) * 0.99


def test_figures_are_of_the_clipped_noisy_image_against_the_clean_one():
    corruption = noise.parse("gaussian", 0.5)
    clean, noisy = scores.corrupt(corruption, jnp.asarray(IMAGES[:4]), jnp.arange(4, dtype=jnp.uint32))
    expected = [
        peak_signal_noise_ratio(np.asarray(c), np.clip(np.asarray(n), 0, 1), data_range=1)
        for c, n in zip(clean, noisy, strict=True)
    ]
    result = scores.score(None, {}, TestSet("random", IMAGES[:4], corruption))
    np.testing.assert_allclose(result.psnr, expected, rtol=1e-5)
    assert result.means()["psnr"] == pytest.approx(np.mean(expected), rel=1e-5)


def test_without_noise_there_are_no_figures_of_the_noisy_input():
    def figures(corruption):
        scored = scores.score(None, {}, TestSet("random", IMAGES[:2], corruption))
        return set(summary.means_with_noisy(scored, TestSet("random", IMAGES[:2], corruption)))

    assert figures(noise.parse("gaussian")) == {"mse", "psnr", "ssim", "noisy_mse", "noisy_psnr", "noisy_ssim"}
    assert figures(noise.parse("none")) == {"mse", "psnr", "ssim"}


def test_an_exact_image_leaves_the_mean_finite():
    half = scores.Scores(*(np.array([value, value], np.float32) for value in (0.01, 20.0, 0.5)))
    exact = half._replace(psnr=np.array([20.0, np.inf], np.float32))
    assert exact.means()["psnr"] == 60.0
    assert half.means()["psnr"] == 20.0
