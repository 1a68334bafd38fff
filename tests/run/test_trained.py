import json
import shutil

import jax
import numpy as np
import pytest

from jaxae import noise
from jaxae.config import DataOverride, NoiseOverride
from jaxae.errors import UserError
from jaxae.run import directory, trained
from jaxae.run.digest import digest
from tests.small_run import write_run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "run"
    return run_dir, write_run(run_dir, "cifar")


def test_a_run_comes_back_with_its_network_and_parameters(made):
    run_dir, params = made
    run = trained.restore(run_dir)
    assert digest(run.params) == digest(params)
    assert (run.epoch, run.config.model, run.model.image_shape) == (3, "cifar", (32, 32, 3))
    assert {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(run.params)} == {1}


def test_a_directory_without_a_run_or_a_checkpoint_is_named(made, tmp_path):
    with pytest.raises(UserError, match="there is no such directory"):
        trained.restore(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds no config\.json"):
        trained.restore(tmp_path)
    copy = shutil.copytree(made[0], tmp_path / "copy")
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(UserError, match="let it finish an epoch"):
        trained.restore(copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"model": "auto"}))
    with pytest.raises(UserError, match="its model is auto"):
        trained.restore(copy)


def test_tests_are_the_runs_own_unless_others_are_named(made, monkeypatch):
    asked = []

    def load(name, split, data_dir, shape, limits, as_they_are):
        asked.append((name, split, data_dir))
        return np.zeros((2, *shape), np.uint8)

    monkeypatch.setattr(trained.data, "load", load)
    run = trained.restore(made[0])
    own = trained.open_test(run)
    assert (own.name, noise.describe(own.noise)) == ("photo_patches", "gaussian 0.1")
    other = trained.open_test(run, DataOverride("cifar10"), NoiseOverride("salt"))
    assert (other.name, noise.describe(other.noise)) == ("cifar10", "salt 0.2")
    assert [name for name, _, _ in asked] == ["photo_patches", "cifar10"]


def test_images_that_do_not_fit_the_network_are_refused(made, monkeypatch):
    monkeypatch.setattr(trained.data, "load", lambda *_: np.zeros((2, 28, 28, 1), np.uint8))
    with pytest.raises(UserError, match="takes 3 channels"):
        trained.open_test(trained.restore(made[0]))


def test_where_the_data_lay_is_on_record(made, tmp_path, monkeypatch):
    copy = shutil.copytree(made[0], tmp_path / "copy")
    launch = json.loads((copy / directory.LAUNCH).read_text())
    launch["data"]["dir"] = "/somewhere"
    (copy / directory.LAUNCH).write_text(json.dumps(launch))
    seen = []
    monkeypatch.setattr(
        trained.data, "load", lambda *arguments: seen.append(arguments) or np.zeros((1, 32, 32, 3), np.uint8)
    )
    trained.open_images(trained.restore(copy))
    assert str(seen[0][2]) == "/somewhere"
