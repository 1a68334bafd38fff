"""Collapsed outputs and dead units."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import networks, noise
from jaxae.config import TrainConfig
from jaxae.data import Images
from jaxae.experiments import sweep
from jaxae.runs import health, scores
from jaxae.runs.evaluation_set import EvaluationSet
from tests.made_run import made
from tests.small_run import random_params

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 28, 28, 1), np.uint8)
TEST = EvaluationSet("random", Images(IMAGES), noise.parse("gaussian", 0.5))


def scored(params, images=IMAGES):
    return scores.score(networks.build("mnist", "xla"), params, TEST._replace(images=Images(images)))


def with_last_bias(params, value):
    name = max(name for name in params if name.startswith("decoder"))
    return params | {name: params[name] | {"bias": jnp.full_like(params[name]["bias"], value)}}


@pytest.mark.parametrize("constant", [-90.0, 90.0])
def test_a_network_that_answers_black_or_white_is_collapsed(constant):
    params = random_params("mnist")
    assert not health.is_collapsed(scored(params))
    constantly = scored(with_last_bias(params, constant))
    assert health.is_collapsed(constantly)
    assert "their spread is 0.0% of the images'" in health.collapse_warning(constantly)


def test_spread_is_the_standard_deviation_over_images_as_a_share_of_the_clean_ones():
    clean = IMAGES / 255
    noisy = scores.score(None, {}, TEST)
    _, shown = scores.add_test_noise(TEST.noise, Images(jnp.asarray(IMAGES)), jnp.arange(12, dtype=jnp.uint32))
    expected = np.sqrt(np.clip(shown, 0, 1).var(0).mean() / clean.var(0).mean())
    assert noisy.spread == pytest.approx(expected, rel=1e-5)
    same = EvaluationSet("same", Images(IMAGES[:1].repeat(3, 0)), noise.parse("none"))
    assert scores.score(None, {}, same).spread == 1.0


@pytest.mark.parametrize("name", ["mnist", "cifar"])
def test_dead_units_are_counted(name):
    model, params = networks.build(name), random_params(name)
    images = np.random.default_rng(0).integers(0, 256, (5, *model.image_shape), np.uint8)
    test = EvaluationSet("random", Images(images), noise.parse("none"))
    result = scores.score(networks.build(name, "xla"), params, test)
    layer = {"mnist": "decoder_1", "cifar": "decoder_0"}[name]  # the last that a ReLU follows: no other depends on it
    size = len(params[layer]["bias"])

    def described(bias):
        changed = params | {layer: params[layer] | {"bias": jnp.full(size, bias, jnp.float32)}}
        return health.measure_health(model, changed, test, result)

    alive, dead = described(1000.0), described(-1000.0)
    assert alive["units"] == {"mnist": 16 + 32 + 64 + 32 + 16, "cifar": 8 + 8 + 8}[name]
    assert dead["dead_units"] - alive["dead_units"] == size


def test_every_image_counts_and_so_does_its_noise():
    model, params = networks.build("cifar"), random_params("cifar")
    images = np.full((scores.BATCH_SIZE + 1, 32, 32, 3), 128, np.uint8)

    def first_units(kind):
        return health._alive(model, params, EvaluationSet("grey", Images(images), noise.parse(kind)))[:8].any()

    assert first_units("gaussian")
    assert not first_units("none")
    images[-1, 16, 16] = 255  # in the last batch
    assert first_units("none")


def test_the_table_of_a_sweep_says_so():
    def member(kind, collapsed):
        run = made(kind=kind, health={"outputs_collapsed": collapsed})
        return run._replace(config=dataclasses.replace(run.config, train=TrainConfig(learning_rate=1e-3)))

    members = [member("gaussian", True), member("salt", False), member("gaussian", False)]
    _, _, first, second = sweep.markdown_table(members).splitlines()
    assert first.startswith(
        "| gaussian 0.5, rate 0.001 (1 of 2 collapsed: nearly the same output for every image) | 2 |"
    )
    assert second.startswith("| salt 0.2, rate 0.001 | 1 |")
