import dataclasses
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import data, networks, noise
from jaxae.config import DataConfig, DataOverride, NoiseConfig, NoiseOverride
from jaxae.errors import UserError
from jaxae.runs import directory, fingerprint, trained
from jaxae.runs.digest import tree_digest
from jaxae.runs.fingerprint import Fingerprint
from jaxae.training import OBJECTIVES
from tests.small_run import add_checkpoint, write_run

SHAPE = {0: (32, 32, 3)}  # of the images of `opened`


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "run"
    return run_dir, write_run(run_dir, "cifar")


def test_a_run_comes_back_with_its_network_and_parameters(made):
    run_dir, params = made
    run = trained.load_run(run_dir)
    assert tree_digest(run.params) == tree_digest(params)
    assert (run.epoch, run.config.network, run.network.image_shape) == (3, "cifar", (32, 32, 3))
    assert {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(run.params)} == {1}


def test_a_directory_without_a_run_or_a_checkpoint_is_named(made, tmp_path):
    with pytest.raises(UserError, match="no such directory; weights that ship with jaxae: ready, ready-digits"):
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


def test_the_checkpoint_and_the_settings_are_those_that_are_named(tmp_path):
    best = write_run(tmp_path / "run", "cifar", precision="bfloat16", reflect_padding=4, backend="unfold")
    add_checkpoint(tmp_path / "run", "cifar", 4, seed=1, score=9.0)
    run = trained.load_run(tmp_path / "run", "best")
    assert (run.epoch, tree_digest(run.params)) == (3, tree_digest(best))
    assert run.network == networks.build("cifar", "unfold", "bfloat16", 4)
    assert trained.load_run(tmp_path / "run").epoch == 4


def test_options_of_the_data_are_the_runs_own_for_its_own_data_set(made, opened):
    run = trained.load_run(made[0])
    own = dataclasses.replace(run.config, data=DataConfig("folder:/photos", test_split="validation", range="0,100"))
    run = dataclasses.replace(run, config=own)
    for wanted in (
        DataOverride(),
        DataOverride("folder:/photos", Path("/data"), "0,4"),
        DataOverride("folder:/others"),
        DataOverride("cifar10"),
    ):
        trained.open_data(run, wanted)
    assert [(name, place and str(place)) for name, place, _ in opened] == [
        ("folder:/photos", None),
        ("folder:/photos", "/data"),
        ("folder:/others", None),
        ("cifar10", None),
    ]
    assert [options["value_range"] for _, _, options in opened] == [(0, 100), (0, 4), (0, 100), None]
    assert [options["test_split"] for _, _, options in opened] == ["validation", "validation", "test", "test"]


def test_only_the_runs_own_data_set_is_compared_with_its_fingerprint(made, tmp_path, opened):
    run = trained.load_run(shutil.copytree(made[0], tmp_path / "copy"))
    fingerprint.write_fingerprint(run.run_dir, Fingerprint(7, 2, None, "another"))
    trained.open_test(run, DataOverride("cifar10"))
    with pytest.warns(UserWarning, match="photo_patches no longer holds the test images"):
        trained.open_test(run)


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
    test = trained.open_test(dataclasses.replace(run, config=alone))
    assert test.objective == OBJECTIVES["self"]()
    assert not opened[0][2]["resize"]
    sure = dataclasses.replace(alone, train=dataclasses.replace(alone.train, target="sure", sigma=0.2))
    assert trained.open_test(dataclasses.replace(run, config=sure)).objective == OBJECTIVES["sure"](0.2)
    clipped = dataclasses.replace(run.config, noise=NoiseConfig("gaussian", 0.1, clip=True))
    assert trained.open_test(dataclasses.replace(run, config=clipped)).noise.clip


def test_a_model_is_a_function_for_jit(made):
    run, images = trained.load_run(str(made[0])), np.random.default_rng(0).random((2, 12, 16, 3), np.float32)
    restored, expected = run(images), run.network.apply({"params": run.params}, jnp.asarray(images))
    assert restored.dtype == np.float32
    for outputs in (restored, jax.jit(run)(images), jax.jit(lambda model, x: model(x))(run, images)):
        np.testing.assert_allclose(outputs, expected, atol=1e-6)
    with pytest.raises(TypeError, match="images of uint8"):
        run(np.zeros((2, 12, 16, 3), np.uint8))


def test_a_file_holds_all_of_a_run(made, tmp_path):
    run, path = trained.load_run(made[0]), tmp_path / "weights.safetensors"
    trained.save_weights(run, path)
    again = trained.load_run(path)
    assert tree_digest(again.params) == tree_digest(run.params)
    assert (again.config, again.network, again.epoch) == (run.config, run.network, run.epoch)
    assert trained.load_run(path) is again  # so that nothing is compiled twice
    content = path.read_bytes()
    trained.save_weights(run, path, "float16")
    assert path.stat().st_size < 0.8 * len(content)
    rounded = trained.load_run(path)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), rounded.params, run.params)
    trained.save_weights(run, path)
    assert path.read_bytes() == content
    with pytest.raises(UserError, match=r"must end in \.safetensors"):
        trained.save_weights(run, tmp_path / "weights")
    with pytest.raises(UserError, match="one set of weights: omit it"):
        trained.load_run(path, "best")


def test_a_file_that_is_not_whole_or_of_another_network_is_refused(made, tmp_path):
    run, path = trained.load_run(made[0]), tmp_path / "weights.safetensors"
    trained.save_weights(run, path)
    content = path.read_bytes()
    for damaged in (content[:-1], content.replace(b'"jaxae"', b'"other"', 1), b""):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"is not a file of jaxae\.save, or a damaged one"):
            trained.load_run(path)
    trained.save_weights(dataclasses.replace(run, config=dataclasses.replace(run.config, network="mnist")), path)
    with pytest.raises(UserError, match="other arrays than the mnist network has"):
        trained.load_run(path)


def test_the_name_of_weights_that_ship_is_no_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert trained.absolute_place(Path("ready")) == Path("ready")
    assert trained.absolute_place(Path("other")) == tmp_path / "other"
    (tmp_path / "ready").mkdir()
    assert trained.absolute_place(Path("ready")) == tmp_path / "ready"
