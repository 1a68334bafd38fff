import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

from jaxae import data, noise
from jaxae.config import DataOverride, NoiseConfig, NoiseOverride
from jaxae.errors import UserError
from jaxae.runs import directory, trained
from jaxae.runs.digest import tree_digest
from jaxae.training import OBJECTIVES
from tests.small_run import write_run

SHAPE = {0: (32, 32, 3)}  # of the images of `opened`


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "run"
    return run_dir, write_run(run_dir, "cifar")


def test_a_run_comes_back_with_its_network_and_parameters(made):
    run_dir, params = made
    run = trained.load_run(run_dir)
    assert tree_digest(run.params) == tree_digest(params)
    assert (run.epoch, run.config.network, run.model.image_shape) == (3, "cifar", (32, 32, 3))
    assert {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(run.params)} == {1}


def test_a_directory_without_a_run_or_a_checkpoint_is_named(made, tmp_path):
    with pytest.raises(UserError, match="there is no such directory"):
        trained.load_run(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"it has no config\.json"):
        trained.load_run(tmp_path)
    copy = shutil.copytree(made[0], tmp_path / "copy")
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(UserError, match="let it finish an epoch"):
        trained.load_run(copy)


class Opened(data.Dataset):
    """A data set of black images, which records how it was opened."""

    def load(self, split):
        return data.Images(np.zeros((2, *SHAPE[0]), np.uint8))


@pytest.fixture
def opened(monkeypatch):
    """What data sets were opened, with images of `SHAPE`."""
    calls = []

    def open_data(name, data_dir, **options):
        calls.append((name, data_dir, options))
        return Opened(name, data.Options(data_dir))

    monkeypatch.setattr(Opened, "prefix", "")
    monkeypatch.setattr(trained.data, "open", open_data)
    return calls


def test_tests_are_the_runs_own_unless_others_are_named(made, opened):
    run = trained.load_run(made[0])
    own = trained.open_test(run)
    assert (own.name, noise.describe(own.noise)) == ("photo_patches", "gaussian 0.1")
    other = trained.open_test(run, DataOverride("cifar10"), NoiseOverride("salt"))
    assert (other.name, noise.describe(other.noise)) == ("cifar10", "salt 0.2")
    assert [name for name, _, _ in opened] == ["photo_patches", "cifar10"]
    assert all(options["resize"] for _, _, options in opened)


def test_images_that_do_not_fit_the_network_are_refused(made, opened, monkeypatch):
    monkeypatch.setitem(SHAPE, 0, (28, 28, 1))
    with pytest.raises(UserError, match="takes images with 3 channels, not 28×28×1"):
        trained.open_test(trained.load_run(made[0]))


def test_a_run_records_where_its_data_is(made, tmp_path, opened):
    copy = shutil.copytree(made[0], tmp_path / "copy")
    launch = json.loads((copy / directory.LAUNCH).read_text())
    launch["data"]["dir"] = "/somewhere"
    (copy / directory.LAUNCH).write_text(json.dumps(launch))
    trained.open_data(trained.load_run(copy))
    assert str(opened[0][1]) == "/somewhere"


def test_pictures_that_are_noisy_themselves_are_not_resized(made, opened):
    run = trained.load_run(made[0])
    alone = dataclasses.replace(
        run.config, noise=NoiseConfig("none"), train=dataclasses.replace(run.config.train, target="self")
    )
    test = trained.open_test(run._replace(config=alone))
    assert test.objective == OBJECTIVES["self"]()
    assert not opened[0][2]["resize"]
