"""How strongly a network's answer counts, when a picture stays as it is, and which network grey pictures go to."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from jaxae import networks
from jaxae.config import Config, DataConfig, NoiseConfig, TrainConfig
from jaxae.denoising.restoring import limit_removal, restore
from jaxae.errors import UserError
from jaxae.runs.trained import TrainedRun, load_run, save_weights
from tests.small_run import random_params

PICTURE = np.random.default_rng(0).random((64, 64, 3), np.float32)  # one tile


def run_of(name: str) -> TrainedRun:
    train = TrainConfig(1, 32, 1e-2, lsuv=False, reflect_padding=0)
    config = Config(DataConfig("photo_crops"), NoiseConfig("gaussian", 0.1), train, network=name)
    return TrainedRun(Path("run"), config, networks.build(name, "xla"), random_params(name), 1)


def takes_away(amount: float):
    """In the place of a compiled network: one that takes away noise of this standard deviation."""
    rng = np.random.default_rng(1)
    return lambda run, tiling: lambda tiles: tiles - np.float32(amount * rng.standard_normal(tiles.shape))


def test_the_strength_is_the_share_of_what_is_taken_away():
    whole, half = (
        next(restore(run_of("photo"), [("tag", PICTURE)], strength, takes_away(0.1))) for strength in (1.0, 0.5)
    )
    assert whole.tag == "tag"
    np.testing.assert_allclose(PICTURE - half.values, 0.5 * (PICTURE - whole.values), atol=1e-6)
    assert whole.noise == half.noise == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("strength", [0.0, -1.0, 1.1, float("nan")])
def test_another_strength_is_refused(strength):
    with pytest.raises(UserError, match=r"`strength` \S+: must be above 0, which takes nothing away, and at most 1"):
        next(restore(run_of("photo"), [("tag", PICTURE)], strength, takes_away(0.1)))


@pytest.mark.parametrize(
    ("network", "amount", "stays"), [("photo", 0.003, True), ("photo", 0.01, False), ("cifar", 0.003, False)]
)
def test_a_picture_with_next_to_no_noise_stays_as_it_is(network, amount, stays):
    restored = next(restore(run_of(network), [(None, PICTURE)], 1.0, takes_away(amount)))
    assert (restored.values is PICTURE) == stays
    assert np.array_equal(restored.values, PICTURE) == stays


def test_texture_is_kept_where_more_would_be_taken_away_than_in_flat_parts():
    rng = np.random.default_rng(0)
    clean = np.full((120, 90, 3), 0.5, np.float32)
    texture = np.s_[70:110, 20:70]
    clean[texture] += np.float32(rng.choice([-0.2, 0.2], (40, 50, 1)))
    noisy = clean + np.float32(0.02 * rng.standard_normal(clean.shape))
    smooth = np.full_like(clean, 0.5)  # what a network makes of it that takes all texture for noise
    restored, noise = limit_removal(noisy, smooth)
    assert noise == pytest.approx(0.02, rel=0.1)
    assert np.abs(restored[texture] - clean[texture]).mean() < 0.2 * np.abs(smooth[texture] - clean[texture]).mean()
    np.testing.assert_allclose(restored[:60], smooth[:60], atol=0.02)
    assert np.abs(restored[:60] - 0.5).mean() < 0.1 * np.abs(noisy[:60] - 0.5).mean()


def test_clipped_noise_does_not_count_as_flat_parts():
    rng = np.random.default_rng(0)
    clean = np.zeros((80, 90, 1), np.float32)
    clean[:, 60:] = 0.5  # two thirds are black
    noisy = np.clip(clean + np.float32(0.1 * rng.standard_normal(clean.shape)), 0, 1)
    restored, noise = limit_removal(noisy, clean)
    assert noise == pytest.approx(0.1, rel=0.1)
    assert np.abs(restored[:, 65:] - 0.5).mean() < 0.01


def test_grey_pictures_go_to_the_twin_of_weights(tmp_path):
    save_weights(run_of("photo"), tmp_path / "name.safetensors")
    grey, seen = PICTURE[..., :1], []

    def compile_network(run, tiling):
        seen.append(run.config.network)
        return lambda tiles: tiles * 0

    pictures = [("colour", PICTURE), ("grey", grey), ("more", grey), ("last", PICTURE)]
    alone = load_run(tmp_path / "name.safetensors")
    assert [each.tag for each in restore(alone, pictures, 1.0, compile_network)] == ["colour", "grey", "more", "last"]
    assert seen == ["photo", "photo", "photo"]
    save_weights(run_of("photo_grey"), tmp_path / "name-grey.safetensors")
    seen.clear()
    restored = list(restore(alone, pictures, 1.0, compile_network))
    assert seen == ["photo", "photo_grey", "photo"]
    assert [each.values.shape for each in restored] == [PICTURE.shape, grey.shape, grey.shape, PICTURE.shape]
    lone = dataclasses.replace(alone, run_dir=tmp_path / "directory")  # of a run, which has no twin
    assert [each.tag for each in restore(lone, pictures[1:2], 1.0, compile_network)] == ["grey"]
    assert seen[-1] == "photo"


@pytest.mark.parametrize(("network", "keeps"), [("photo", True), ("cifar", False)])
def test_texture_is_kept_for_networks_for_noise_of_unknown_strength(network, keeps):
    rng = np.random.default_rng(0)
    picture = np.float32(0.5 + 0.02 * rng.standard_normal((64, 64, 3)))
    picture[40:, 40:] += np.float32(rng.choice([-0.2, 0.2], (24, 24, 1)))
    restored = next(restore(run_of(network), [(None, picture)], 1.0, lambda run, tiling: lambda x: 0 * x + 0.5))
    assert (np.std(restored.values[48:, 48:]) > 0.15) == keeps
    assert np.std(restored.values[:30, :30]) < 0.005
