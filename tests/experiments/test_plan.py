import jax
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxae import data, noise
from jaxae.config import Config, DataConfig, DataPlace, Launch, NoiseConfig, TrainConfig
from jaxae.data.records import Records
from jaxae.data.stream import Stream
from jaxae.errors import UserError
from jaxae.experiments import cifar10_denoise, mnist_denoise, plan
from jaxae.training import parallel

CUT = (28, 28, 1), None, False


@pytest.mark.parametrize(
    ("placement", "device", "host", "kind"),
    [
        ("auto", True, True, np.ndarray),
        ("auto", False, True, Stream),
        ("device", False, True, np.ndarray),
        ("stream", True, True, Stream),
        ("auto", False, False, Records),
    ],
)
def test_memory_decides_where_the_images_lie(prepared_data, monkeypatch, placement, device, host, kind):
    monkeypatch.setattr(plan, "fits_device", lambda size: device)
    monkeypatch.setattr(plan, "fits_host", lambda size: host)
    launch = Launch(DataPlace(prepared_data, placement))
    images = plan.load_train_images(DataConfig("mnist", 40), launch, CUT)
    assert len(images) == 40
    assert isinstance(images.source if kind is Records else images, kind)
    if kind is Records:
        np.testing.assert_array_equal(images.source[np.arange(3)], data.load("mnist", "train", prepared_data)[:3])


def test_a_plan_leaves_nothing_open(prepared_data, tmp_path):
    launch = Launch(DataPlace(prepared_data), run_dir=tmp_path / "run")
    made = plan.make_plan(mnist_denoise.EXPERIMENT, Config(DataConfig("digits_small", 256), recipe="fast"), launch)
    assert made.config == Config(
        DataConfig("digits_small", 256),
        NoiseConfig("gaussian", 0.5),
        TrainConfig(3, 64, 8e-3, False, 0),
        "fast",
        "mnist",
    )
    assert made.task.batch_size == 64
    assert made.test.images.shape == (2000, 28, 28, 1)
    assert noise.describe(made.hyper.noise) == noise.describe(made.test.noise) == "gaussian 0.5"
    assert not (tmp_path / "run").exists()


def test_gaussian_noise_has_the_experiments_own_strength_and_others_their_own():
    for experiment, factor in ((mnist_denoise.EXPERIMENT, 0.5), (cifar10_denoise.EXPERIMENT, 0.1)):
        config, corruption = plan.settle_noise(Config(), experiment.gaussian_factor)
        assert config.noise.factor == factor
        assert noise.describe(corruption) == f"gaussian {factor}"
    config, corruption = plan.settle_noise(Config(noise=NoiseConfig("salt")), 0.1)
    assert noise.describe(corruption) == "salt 0.2"


def test_a_factor_for_images_up_to_255_is_said_to_drown_them():
    with pytest.warns(UserWarning, match="--noise.factor 25 is for images in .* of 255 it is 0.098"):
        plan.settle_noise(Config(noise=NoiseConfig("gaussian", 25.0)))
    plan.settle_noise(Config(noise=NoiseConfig("poisson", 25.0)))


def test_a_batch_that_nobody_named_fits_itself_to_the_devices():
    settled = plan.settle_training(Config(model="mnist"))
    three = parallel.Devices(jax.make_mesh((3,), ("batch",), devices=jax.devices()[:3], axis_types=(AxisType.Auto,)))
    with pytest.warns(UserWarning, match="126 images in a step: 3 devices cannot share 128 evenly"):
        assert plan.fit_batch(settled, three).train.batch_size == 126
    assert plan.fit_batch(settled, None) == settled


def test_what_no_run_can_do_is_refused():
    settled = plan.settle_training(Config(model="mnist"))
    noisy = plan.settle_training(Config(train=TrainConfig(target="noisy"), model="mnist"))
    with pytest.raises(UserError, match="gaussian, uniform, speckle or poisson"):
        plan.check_target(noisy, noise.parse("salt"))
    with pytest.raises(UserError, match="at most 100"):
        plan.make_task(settled, noise.parse("salt"), 100)
    long = plan.settle_training(Config(train=TrainConfig(epochs=2**31 // 7 + 1), model="mnist"))
    with pytest.raises(UserError, match=r"fewer than 2\*\*31"):
        plan.make_task(long, noise.parse("salt"), 1000)
    with pytest.raises(UserError, match="there are: mnist, cifar"):
        plan.settle_training(Config(model="resnet"))
    with pytest.raises(UserError, match="28×28×1"):
        plan.settle_model(Config(model="cifar"), CUT[0])
