"""The metrics against scikit-image, image by image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from jaxae import metrics
from jaxae.errors import UserError

METRICS = [metrics.mse, metrics.psnr, metrics.ssim]
SHAPES = [(6, 28, 28, 1), (6, 32, 32, 3), (6, 11, 17, 2)]


def smooth_pair(shape: tuple[int, ...], noise: float = 0.1) -> tuple[jax.Array, jax.Array]:
    """Images with structure, and the same with noise on them."""
    coarse = jax.random.uniform(jax.random.key(0), (shape[0], 6, 6, shape[3]))
    clean = jnp.clip(jax.image.resize(coarse, shape, "cubic"), 0, 1)
    return clean, jnp.clip(clean + noise * jax.random.normal(jax.random.key(1), shape), 0, 1)


def skimage_ssim(x: np.ndarray, y: np.ndarray) -> float:
    return structural_similarity(
        x, y, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, channel_axis=-1
    )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("noise", [0.01, 0.1, 0.5])
def test_equal_to_scikit_image(shape, noise):
    clean, noisy = smooth_pair(shape, noise)
    pairs = list(zip(np.float64(clean), np.float64(noisy), strict=True))
    mse, psnr, ssim = (jax.jit(metric)(clean, noisy) for metric in METRICS)
    np.testing.assert_allclose(mse, [mean_squared_error(x, y) for x, y in pairs], rtol=1e-5)
    np.testing.assert_allclose(psnr, [peak_signal_noise_ratio(x, y, data_range=1) for x, y in pairs], rtol=1e-5)
    np.testing.assert_allclose(ssim, [skimage_ssim(x, y) for x, y in pairs], atol=1e-5)


def test_known_values():
    black, grey = jnp.zeros((2, 16, 16, 1)), jnp.full((2, 16, 16, 1), 0.1)
    np.testing.assert_allclose(metrics.mse(grey, black), 0.01, rtol=1e-6)
    np.testing.assert_allclose(metrics.psnr(grey, black), 20.0, rtol=1e-6)
    np.testing.assert_allclose(metrics.ssim(grey, black), 1e-4 / (0.01 + 1e-4), rtol=1e-4)  # C1 / (μ² + C1)


def test_equal_images():
    clean, _ = smooth_pair((4, 28, 28, 1))
    np.testing.assert_array_equal(metrics.mse(clean, clean), 0)
    np.testing.assert_array_equal(metrics.psnr(clean, clean), np.inf)
    np.testing.assert_allclose(metrics.ssim(clean, clean), 1, atol=1e-6)
    flat = jnp.ones((4, 28, 28, 1))  # no variance: rounding must not make the denominator vanish
    np.testing.assert_allclose(metrics.ssim(flat, flat), 1, atol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_each_image_by_itself_and_symmetric(metric):
    clean, noisy = smooth_pair((6, 32, 32, 3))
    whole = metric(noisy, clean)
    assert (whole.shape, whole.dtype) == ((6,), jnp.float32)
    np.testing.assert_allclose(metric(noisy[2:3], clean[2:3]), whole[2:3], rtol=1e-5)
    np.testing.assert_allclose(metric(clean, noisy), whole, rtol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_half_precision_is_computed_in_float32(metric):
    clean, noisy = (x.astype(jnp.bfloat16) for x in smooth_pair((4, 28, 28, 1)))
    value = metric(noisy, clean)
    assert value.dtype == jnp.float32
    np.testing.assert_array_equal(value, metric(noisy.astype(jnp.float32), clean.astype(jnp.float32)))


@pytest.mark.parametrize("metric", METRICS)
def test_gradients_are_finite(metric):
    clean, noisy = smooth_pair((4, 28, 28, 1))
    gradient = jax.grad(lambda x: metric(x, clean).sum())(noisy)
    assert bool(jnp.isfinite(gradient).all())
    assert bool((gradient != 0).any())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), low=st.floats(0, 1), high=st.floats(0, 1))
def test_ssim_stays_in_range(seed, low, high):
    low, high = sorted((low, high))
    x, y = jax.random.uniform(jax.random.key(seed), (2, 3, 16, 16, 1), minval=low, maxval=high)
    assert -1 - 1e-5 <= float(metrics.ssim(x, y).min()) <= float(metrics.ssim(x, y).max()) <= 1 + 1e-5


@pytest.mark.parametrize("shape", [(2, 10, 28, 1), (2, 28, 8, 1)])
def test_smaller_than_the_window_is_an_error_when_traced(shape):
    small = jax.ShapeDtypeStruct(shape, jnp.float32)
    with pytest.raises(UserError, match="at least 11×11"):
        jax.eval_shape(metrics.ssim, small, small)
    assert jax.eval_shape(metrics.psnr, small, small).shape == (2,)


@pytest.fixture
def largest_error():
    """A metric of one's own."""

    @metrics.metric("largest error", unit="levels", digits=1, higher_is_better=False)
    def largest_error(images, targets):
        return 255 * jnp.max(jnp.abs(images - targets), axis=(1, 2, 3))

    yield metrics.METRICS["largest_error"]
    del metrics.METRICS["largest_error"]


def test_a_registered_metric_is_computed_and_known(largest_error):
    clean, noisy = smooth_pair((4, 16, 16, 1))
    computed = metrics.compute(noisy, clean)
    assert list(computed) == ["mse", "psnr", "ssim", "largest_error"]
    np.testing.assert_allclose(computed["largest_error"], 255 * np.abs(noisy - clean).max((1, 2, 3)), rtol=1e-6)
    means = {name: metrics.METRICS[name].mean(np.asarray(values)) for name, values in computed.items()}
    assert metrics.known(means)[-1] is largest_error
    assert metrics.primary(means).name == "psnr"
    assert metrics.format_means({"mse": 0.25, "largest_error": 12.34}) == "MSE 0.25000, largest error 12.3 levels"
    assert metrics.known({"test_mse": 1.0, "test_largest_error": 2.0}, "test_")[-1] is largest_error
    assert largest_error.heading == "largest error [levels]"
    assert largest_error.is_better(1.0, than=2.0)


def test_the_loss_takes_the_place_of_metrics_without_clean_images():
    assert "loss" not in metrics.compute(*smooth_pair((1, 16, 16, 1)))
    assert metrics.known({"loss": 0.1}) == [metrics.LOSS]
    assert metrics.primary({"loss": 0.1}) is metrics.error({"loss": 0.1}) is metrics.LOSS
    assert metrics.error({"psnr": 20.0, "mse": 0.01}).name == "mse"
    assert metrics.primary({"ssim": 0.5, "psnr": 20.0}).name == "psnr"


def test_the_better_of_two_has_the_higher_score():
    assert metrics.rank_score({"psnr": 20.0, "loss": 0.5}) == 20.0
    assert metrics.rank_score({"loss": 0.5}) == -0.5
    assert metrics.rank_score({"ssim": 0.5}) is None
    assert metrics.METRICS["psnr"].is_better(21.0, than=20.0)
    assert metrics.format_means({"test_psnr": 20.0, "psnr": 1.0}, "test_") == "PSNR 20.00 dB"


def test_an_infinite_psnr_is_capped_in_a_mean():
    psnr = metrics.METRICS["psnr"]
    assert psnr.mean(np.float32([np.inf, 20.0])) == 60.0
    assert psnr.format(20.214) == "20.21 dB"
    assert psnr.format(20.214, unit=False) == "20.21"
