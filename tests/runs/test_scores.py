import jax.numpy as jnp
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from jaxae import noise
from jaxae.command.progress import Progress
from jaxae.data import Images
from jaxae.runs import scores, summary
from jaxae.runs.evaluation_set import EvaluationSet

IMAGES = np.random.default_rng(0).integers(0, 256, (scores.BATCH_SIZE + 3, 16, 16, 1), np.uint8)


def test_every_image_counts_once_whatever_fills_the_last_batch():
    whole = scores.score(None, {}, EvaluationSet("random", Images(IMAGES), noise.parse("none")))
    assert len(whole.values["mse"]) == len(IMAGES)
    assert np.all(whole.values["mse"] == 0)
    few = scores.score(None, {}, EvaluationSet("random", Images(IMAGES[:5]), noise.parse("gaussian", 0.3)))
    many = scores.score(None, {}, EvaluationSet("random", Images(IMAGES), noise.parse("gaussian", 0.3)))
    np.testing.assert_allclose(few.values["psnr"], many.values["psnr"][:5], rtol=1e-6)  # the same noise


def test_every_image_has_noise_of_its_own():
    same = np.repeat(IMAGES[:1], 2 * scores.BATCH_SIZE, axis=0)
    mse = scores.score(None, {}, EvaluationSet("random", Images(same), noise.parse("gaussian", 0.3))).values["mse"]
    assert len(np.unique(mse)) > len(mse) * 0.99


def test_noise_is_added_to_the_noisy_images_of_pairs():
    pairs, added = Images(jnp.asarray(IMAGES[:3]), jnp.asarray(IMAGES[3:6])), noise.parse("gaussian", 0.3)
    indices = jnp.arange(3, dtype=jnp.uint32)
    clean, noisy = scores.add_test_noise(added, pairs, indices)
    np.testing.assert_allclose(clean, IMAGES[:3] / np.float32(255), rtol=1e-6)
    np.testing.assert_array_equal(noisy, scores.add_test_noise(added, Images(pairs.noisy), indices)[1])


def test_metrics_are_of_the_clipped_noisy_image_against_the_clean_one():
    added = noise.parse("gaussian", 0.5)
    clean, noisy = scores.add_test_noise(added, Images(jnp.asarray(IMAGES[:4])), jnp.arange(4, dtype=jnp.uint32))
    expected = [
        peak_signal_noise_ratio(np.asarray(c), np.clip(np.asarray(n), 0, 1), data_range=1)
        for c, n in zip(clean, noisy, strict=True)
    ]
    result = scores.score(None, {}, EvaluationSet("random", Images(IMAGES[:4]), added))
    np.testing.assert_allclose(result.values["psnr"], expected, rtol=1e-5)
    assert result.means()["psnr"] == pytest.approx(np.mean(expected), rel=1e-5)


def test_without_noise_there_are_no_metrics_of_the_noisy_input():
    def names(added):
        scored = scores.score(None, {}, EvaluationSet("random", Images(IMAGES[:2]), added))
        return set(summary.means_with_noisy(scored, EvaluationSet("random", Images(IMAGES[:2]), added)))

    assert names(noise.parse("gaussian")) == {"mse", "psnr", "ssim", "noisy_mse", "noisy_psnr", "noisy_ssim"}
    assert names(noise.parse("none")) == {"mse", "psnr", "ssim"}


def test_an_exact_image_leaves_the_mean_finite():
    half, exact = (scores.Scores({"psnr": np.array([20.0, value], np.float32)}) for value in (20.0, np.inf))
    assert exact.means()["psnr"] == 60.0
    assert half.means()["psnr"] == 20.0


def test_the_validation_score_is_higher_for_the_better_epoch():
    assert scores.validation_score({"epoch": 1, "psnr": 20.0}) is None
    better, worse = ({"psnr": 1.0, "validation_psnr": psnr, "validation_mse": 0.1} for psnr in (21.0, 20.0))
    assert scores.validation_score(better) > scores.validation_score(worse)
    better, worse = ({"loss": 0.0, "validation_loss": loss} for loss in (0.01, 0.02))
    assert scores.validation_score(better) > scores.validation_score(worse)


def test_a_record_without_the_metric_that_networks_are_compared_by_has_no_validation_score(capsys):
    record = {"epoch": 1, "train_loss": 0.5, "images_per_second": 0.5, "psnr": 20.0, "validation_psnr": 21.0}
    assert scores.validation_score(record) == 21.0
    damaged = {name.replace("validation_psnr", "validation_ssim"): value for name, value in record.items()}
    assert scores.validation_score(damaged) is None
    with Progress(1) as progress:
        progress.show_epoch(record)
        progress.show_epoch(damaged)
    first, second = capsys.readouterr().out.splitlines()
    assert "validation PSNR 21.00" in first
    assert "validation" not in second
