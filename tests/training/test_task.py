"""How the options of a run settle its task."""

from pathlib import Path

import numpy as np
import pytest

from jaxae import networks, noise, training
from jaxae.config import Config, TrainConfig
from jaxae.data import Images
from jaxae.errors import UserError
from jaxae.training import Objective, objectives, parallel, resolve_task

IMAGES = Images(np.zeros((1000, 32, 32, 3), np.uint8))
NONE, GAUSSIAN = noise.parse("none"), noise.parse("gaussian", 0.1)


def resolve(added=GAUSSIAN, has_pairs=False, devices=None, **config):
    return resolve_task(Config(**config), added, IMAGES, has_pairs, devices)


def test_a_recipe_settles_what_the_options_leave_open():
    name, settings, task = resolve(recipe="fast")
    assert (name, settings) == ("cifar", TrainConfig(5, 64, 2e-2, lsuv=True, reflect_padding=4))
    assert (task.model, task.batch_size) == (networks.build("cifar", reflect_padding=4), 64)
    assert task.optimizer is training.make_optimizer("fast", 5 * (1000 // 64))
    assert (task.objective, task.devices) == (Objective(), None)


def test_options_count_more_than_the_recipe():
    given = TrainConfig(2, 10, 0.5, lsuv=False, reflect_padding=0, target="sure", sigma=0.3, backend="unfold")
    _, settings, task = resolve(NONE, train=given, recipe="fast")
    assert settings == given
    assert (task.model, task.objective) == (networks.build("cifar", "unfold"), objectives.Sure(0.3))
    _, settings, task = resolve(train=TrainConfig(lsuv=True, precision="bfloat16"))
    assert settings.lsuv
    assert task.model == networks.build("cifar", precision="bfloat16")


def test_weights_of_another_run_are_not_scaled():
    assert not resolve(recipe="fast", init_from=Path("before"))[1].lsuv
    with pytest.raises(UserError, match="`lsuv`: a run from the weights of before keeps them"):
        resolve(init_from=Path("before"), train=TrainConfig(lsuv=True))


def test_devices_share_a_batch_evenly():
    three = parallel.find_devices(3)
    with pytest.warns(UserWarning, match="batches of 63 images: 3 devices cannot share 64 evenly"):
        _, settings, task = resolve(recipe="fast", devices=three)
    assert settings.batch_size == task.batch_size == 63
    assert task.devices is three
    with pytest.raises(UserError, match="3 devices cannot share it evenly"):
        resolve(train=TrainConfig(batch_size=64), devices=three)


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(UserError, match=r"`epochs` 268435456: makes .* fewer than 2\*\*31"):
        resolve(train=TrainConfig(epochs=2**28, batch_size=125))  # 2**31 steps
    resolve(train=TrainConfig(epochs=2**28 - 1, batch_size=125))
    with pytest.raises(UserError, match="pairs have clean images"):
        resolve(has_pairs=True, train=TrainConfig(target="self"))


def test_a_network_that_adds_to_its_input_is_not_trained_on_hidden_pixels():
    with pytest.raises(UserError, match=r"`target` self: the photo network adds to its input, .*: take `target` sure"):
        resolve(network="photo", train=TrainConfig(target="self"))
    for target in ("clean", "psnr", "noisy", "sure"):
        resolve(network="photo", train=TrainConfig(target=target))
    resolve(network="cifar", train=TrainConfig(target="self"))
