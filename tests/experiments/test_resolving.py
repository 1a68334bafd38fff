import dataclasses

import jax
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxae import data, noise
from jaxae.config import Config, DataConfig, DataPlace, Launch, NoiseConfig, TrainConfig
from jaxae.data import configured
from jaxae.data.images import Subset
from jaxae.errors import UserError
from jaxae.experiments import cifar10_denoise, mnist_denoise, resolving
from jaxae.noise import resolve_noise
from jaxae.training import Settings, parallel
from jaxae.training.task import complete_settings


def resolve(data_dir, tmp_path, config=None, experiment=mnist_denoise.EXPERIMENT, placement="auto", devices=None):
    launch = Launch(DataPlace(data_dir, placement), run_dir=tmp_path / "run")
    default = Config(DataConfig("digits_small", 256))
    return resolving.resolve(experiment, config or default, launch, devices)


@pytest.mark.parametrize(
    ("placement", "device", "host", "kind", "streamed"),
    [
        ("auto", True, True, np.ndarray, False),
        ("auto", False, True, np.ndarray, True),
        ("device", False, True, np.ndarray, False),
        ("stream", True, True, np.ndarray, True),
        ("auto", False, False, Subset, True),
    ],
)
def test_memory_decides_where_the_images_are(
    prepared_data, monkeypatch, tmp_path, placement, device, host, kind, streamed
):
    monkeypatch.setattr(configured, "fits_device", lambda size: device)
    monkeypatch.setattr(configured, "fits_host", lambda size: host)
    config = Config(DataConfig("mnist", 40), train=TrainConfig(batch_size=8))
    made = resolve(prepared_data, tmp_path, config, placement=placement)
    assert made.train.count == 40
    assert made.streamed is streamed
    assert isinstance(made.train.clean, kind)
    wanted = data.open("mnist", prepared_data).load("train").clean[:3]
    np.testing.assert_array_equal(made.train.clean[np.arange(3)], wanted)


def test_a_resolved_run_leaves_nothing_open(prepared_data, tmp_path):
    made = resolve(prepared_data, tmp_path, Config(DataConfig("digits_small", 256), recipe="fast"))
    assert made.config == Config(
        DataConfig("digits_small", 256),
        NoiseConfig("gaussian", 0.5),
        TrainConfig(3, 64, 8e-3, lsuv=False, reflect_padding=0),
        "fast",
        "mnist",
    )
    assert made.task.batch_size == 64
    assert made.test.images.shape == (2000, 28, 28, 1)
    assert made.validation is None
    assert noise.describe(made.hyper.noise) == noise.describe(made.test.noise) == "gaussian 0.5"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("placement", ["device", "stream"])
def test_the_seed_draws_the_validation_part_from_the_training_images(prepared_data, tmp_path, placement):
    def split(seed):
        config = Config(DataConfig("digits_small", 300, validation=0.1), seed=seed)
        made = resolve(prepared_data, tmp_path, config, placement=placement)
        return made.train.load().clean, made.validation.images.clean

    (train, validation), (again, _), (other, _) = split(0), split(0), split(1)
    assert (len(train), len(validation)) == (270, 30)
    np.testing.assert_array_equal(train, again)
    assert not np.array_equal(train, other)
    whole = data.open("digits_small", prepared_data).load("train").clean[:300]
    both = np.concatenate([train, validation]).reshape(300, -1)
    assert sorted(map(bytes, both)) == sorted(map(bytes, whole.reshape(300, -1)))


def test_a_validation_part_of_records_is_read_and_the_rest_is_not(prepared_data, tmp_path, monkeypatch):
    monkeypatch.setattr(configured, "fits_device", lambda size: False)
    monkeypatch.setattr(configured, "fits_host", lambda size: False)
    config = Config(DataConfig("mnist", 300, validation=0.1))
    lazy = resolve(prepared_data, tmp_path, config)
    assert not isinstance(lazy.train.clean, np.ndarray)
    monkeypatch.undo()
    loaded = resolve(prepared_data, tmp_path, config)
    np.testing.assert_array_equal(lazy.train.load().clean, loaded.train.clean)
    np.testing.assert_array_equal(lazy.validation.images.clean, loaded.validation.images.clean)


def test_gaussian_noise_has_the_strength_of_the_experiment_and_others_their_own():
    for experiment, factor in ((mnist_denoise.EXPERIMENT, 0.5), (cifar10_denoise.EXPERIMENT, 0.1)):
        config, added = resolve_noise(NoiseConfig(), experiment.gaussian_factor, has_pairs=False)
        assert config == NoiseConfig("gaussian", factor)
        assert noise.describe(added) == f"gaussian {factor}"
    assert noise.describe(resolve_noise(NoiseConfig("salt"), 0.1, has_pairs=False)[1]) == "salt 0.2"
    assert resolve_noise(NoiseConfig(), 0.1, has_pairs=True)[0].kind == "none"


def test_a_factor_for_images_up_to_255_is_warned_of():
    with pytest.warns(UserWarning, match="`factor` 25 of gaussian noise .* divided by 255 it is 0.098"):
        resolve_noise(NoiseConfig("gaussian", 25.0), 0.5, has_pairs=False)
    resolve_noise(NoiseConfig("poisson", 25.0), 0.5, has_pairs=False)


def test_a_batch_size_that_nobody_named_fits_the_devices(prepared_data, tmp_path):
    three = parallel.Devices(jax.make_mesh((3,), ("batch",), devices=jax.devices()[:3], axis_types=(AxisType.Auto,)))
    with pytest.warns(UserWarning, match="batches of 126 images: 3 devices cannot share 128 evenly"):
        made = resolve(prepared_data, tmp_path, devices=three)
    assert made.config.train.batch_size == made.task.batch_size == 126
    named = Config(DataConfig("digits_small", 256), train=TrainConfig(batch_size=128))
    with pytest.raises(UserError, match=r"`batch_size` 128: 3 devices cannot share it evenly.* 129"):
        resolve(prepared_data, tmp_path, named, devices=three)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": TrainConfig(target="noisy"), "noise": NoiseConfig("salt")}, "gaussian, uniform, speckle or poisson"),
        ({"data": DataConfig("digits_small", 100)}, "`batch_size` 128: more than the 100 .* at most 100"),
        ({"train": TrainConfig(epochs=2**31 // 2 + 1)}, r"`epochs` .* fewer than 2\*\*31"),
        ({"network": "resnet"}, r"no network 'resnet'.* \(there are: mnist, cifar, photo, photo_grey\)"),
        ({"network": "cifar"}, "28×28×1"),
        ({"recipe": "slow"}, r"no recipe 'slow'.* \(there are: plain, fast\)"),
        ({"train": TrainConfig(target="cleen")}, "no training target 'cleen'; did you mean clean"),
        ({"data": DataConfig("digits_small", 256, validation=0.001)}, "leaves 0 of 256 images to validate on"),
    ],
)
def test_what_no_run_can_do_is_refused(prepared_data, tmp_path, changes, message):
    config = dataclasses.replace(Config(DataConfig("digits_small", 256)), **changes)
    with pytest.raises(UserError, match=message):
        resolve(prepared_data, tmp_path, config)


def test_options_count_more_than_the_settings_of_a_recipe():
    own = Settings(epochs=5, batch_size=64, learning_rate=1e-2, lsuv=True, reflect_padding=4)
    assert complete_settings(TrainConfig(), own, True, None) == TrainConfig(5, 64, 1e-2, lsuv=True, reflect_padding=4)
    assert not complete_settings(TrainConfig(), own, False, None).lsuv  # weights of another run
    given = TrainConfig(7, 32, 0.5, lsuv=False, reflect_padding=0)
    assert complete_settings(given, own, True, None) == given
