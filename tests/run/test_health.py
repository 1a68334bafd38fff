"""Networks that answer the same to everything, and filters that nothing wakes."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import models, noise
from jaxae.experiments import sweep_table
from jaxae.run import health, scores
from jaxae.run.test_set import TestSet
from tests.small_run import random_params

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 28, 28, 1), np.uint8)
TEST = TestSet("random", IMAGES, noise.parse("gaussian", 0.5))


def scored(params, images=IMAGES):
    return scores.score(models.build("mnist", "xla"), params, TEST._replace(images=images))


def with_last_bias(params, value):
    name = max(name for name in params if name.startswith("decoder"))
    return params | {name: params[name] | {"bias": jnp.full_like(params[name]["bias"], value)}}


@pytest.mark.parametrize("constant", [-90.0, 90.0])
def test_a_network_that_answers_black_or_white_is_found_out(constant):
    params = random_params("mnist")
    assert not health.are_alike(scored(params))
    constantly = scored(with_last_bias(params, constant))
    assert health.are_alike(constantly)
    assert "0.0% of the images' own spread" in health.warning(constantly)


def test_spread_is_the_standard_deviation_over_images_as_a_share_of_the_clean_ones(monkeypatch):
    clean = IMAGES / 255
    noisy = scores.score(None, {}, TEST)
    _, shown = scores.corrupt(TEST.noise, jnp.asarray(IMAGES), jnp.arange(12, dtype=jnp.uint32))
    expected = np.sqrt(np.clip(shown, 0, 1).var(0).mean() / clean.var(0).mean())
    assert noisy.spread == pytest.approx(expected, rel=1e-5)
    assert scores.score(None, {}, TestSet("same", IMAGES[:1].repeat(3, 0), noise.parse("none"))).spread == 1.0


@pytest.mark.parametrize("name", ["mnist", "cifar"])
def test_filters_that_nothing_wakes_are_counted(name):
    model, params = models.build(name), random_params(name)
    images = np.random.default_rng(0).integers(0, 256, (5, *model.image_shape), np.uint8)
    test = TestSet("random", images, noise.parse("none"))
    result = scores.score(models.build(name, "xla"), params, test)
    layer = {"mnist": "decoder_1", "cifar": "decoder_0"}[name]  # the last that a ReLU follows: no other depends on it
    size = len(params[layer]["bias"])

    def described(bias):
        changed = params | {layer: params[layer] | {"bias": jnp.full(size, bias, jnp.float32)}}
        return health.describe(model, changed, test, result)

    awake, asleep = described(1000.0), described(-1000.0)
    assert awake["filters"] == {"mnist": 16 + 32 + 64 + 32 + 16, "cifar": 8 + 8 + 8}[name]
    assert asleep["filters_asleep"] - awake["filters_asleep"] == size


def test_the_table_of_a_sweep_says_so():
    groups = [
        sweep_table.Group("a", "PSNR [dB]", [9.7, 20.1], [True, False]),
        sweep_table.Group("b", "PSNR [dB]", [20.0], [False]),
    ]
    _, _, first, second = sweep_table.table(groups).splitlines()
    assert first.startswith("| a (1 of 2 answer nearly the same to every image) | 2 |")
    assert second.startswith("| b | 1 |")
