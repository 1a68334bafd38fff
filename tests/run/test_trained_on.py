"""A run goes on on the images that it was trained on, wherever they lie, and on no others."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from PIL import Image

from jaxae.config import Config, DataConfig, DataOverride, Launch, TrainConfig
from jaxae.errors import UserError
from jaxae.experiments import cifar10_denoise, mnist_denoise
from jaxae.experiments.plan import _load, make_plan
from jaxae.run import directory, trained, trained_on
from jaxae.run.trained_on import TrainedOn
from tests.small_run import write_run

BEFORE = TrainedOn(90, 10, "a", "b")


def add_pictures(folder, numbers):
    folder.mkdir(exist_ok=True)
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 256, (28, 28), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")


@pytest.fixture
def plan_of(tmp_path, monkeypatch):
    """`plan_of(folder, **launch)`: the plan of a run on the pictures in `folder`, its directory claimed."""
    monkeypatch.chdir(tmp_path)

    def plan(folder, resume=False, **config):
        _load.cache_clear()  # as in a new process
        settings = Config(DataConfig(f"folder:{folder}"), train=TrainConfig(2, 8, ops="xla"), **config)
        made = make_plan(mnist_denoise.EXPERIMENT, settings, Launch(run_dir=tmp_path / "run", resume=resume))
        directory.claim(made.config, made.launch, made.trained_on)
        return made

    return plan


def test_a_folder_that_grows_shrinks_or_changes_is_refused_and_one_that_moves_is_not(plan_of, tmp_path):
    add_pictures(tmp_path / "photos", range(40))
    first = plan_of("photos")
    assert first.config.data.name == f"folder:{tmp_path / 'photos'}"
    assert trained_on.read(tmp_path / "run") == first.trained_on
    assert first.trained_on.train + first.trained_on.test == 40
    plan_of("photos", resume=True)

    add_pictures(tmp_path / "photos", range(40, 50))
    with pytest.raises(UserError, match=r"is not what .*run was trained on \(\d+ training .* with --init-from .*run"):
        plan_of("photos", resume=True)
    for number in range(40, 50):
        (tmp_path / "photos" / f"{number:03}.png").unlink()

    (tmp_path / "photos").rename(tmp_path / "moved")
    moved = plan_of("moved", resume=True)
    assert moved.trained_on == first.trained_on
    assert directory.load_config(tmp_path / "run").data.name == f"folder:{tmp_path / 'moved'}"

    shown = next(path for path in sorted((tmp_path / "moved").iterdir()) if path.name == "000.png")
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(shown)
    with pytest.raises(UserError, match=r"as many (training|test) images, but others"):
        plan_of("moved", resume=True)


def test_what_has_changed_in_words():
    assert trained_on.changed(BEFORE, BEFORE) is None
    assert trained_on.changed(BEFORE, BEFORE._replace(train_digest=None)) is None  # too large to be read for a digest
    assert "90 training and 10 test images, now 80 and 10" in trained_on.changed(BEFORE, BEFORE._replace(train=80))
    assert trained_on.changed(BEFORE, BEFORE._replace(test_digest="c")).startswith("as many test images")
    assert trained_on.changed(BEFORE, BEFORE._replace(train_digest="c")).startswith("as many training images")


def test_a_damaged_record_is_named(tmp_path):
    assert trained_on.read(tmp_path) is None
    wrong = ({"train": None}, {"train": "x"}, {"test": []}, {"test_digest": None}, {"train_digest": 1})
    broken = [json.dumps(BEFORE._asdict() | change) for change in wrong]
    for content in ("{", "[]", '{"train": 1}', *broken):
        (tmp_path / trained_on.FILE).write_text(content)
        with pytest.raises(UserError, match=r"data\.json is damaged"):
            trained_on.read(tmp_path)


def test_a_test_on_other_images_than_the_runs_own_is_said_to_be_so(tmp_path):
    write_run(tmp_path / "run", "mnist")
    run = trained.restore(tmp_path / "run")
    add_pictures(tmp_path / "photos", range(30))
    run = run._replace(config=dataclasses.replace(run.config, data=DataConfig(f"folder:{tmp_path / 'photos'}")))
    images = trained.open_test(run).images
    trained_on.write(run.run_dir, trained_on.take_down(images, images))
    trained.open_test(run)
    add_pictures(tmp_path / "photos", range(30, 60))
    with pytest.warns(UserWarning, match="no longer holds the test images"):
        trained.open_test(run)
    trained.open_test(run, DataOverride("digits_small", tmp_path / "data"))


def test_a_run_starts_from_another_of_its_network(plan_of, tmp_path):
    add_pictures(tmp_path / "photos", range(20))
    params = write_run(tmp_path / "before", "mnist")
    made = plan_of("photos", init_from=tmp_path / "before")
    jax.tree.map(np.testing.assert_array_equal, made.start, params)
    assert directory.load_config(tmp_path / "run").init_from == tmp_path / "before"
    (tmp_path / "run" / "checkpoints" / "1").mkdir(parents=True)
    (tmp_path / "before").rename(tmp_path / "gone")
    assert plan_of("photos", resume=True, init_from=tmp_path / "before").start is None  # it has come further than that
    (tmp_path / "gone").rename(tmp_path / "before")
    settings = Config(
        DataConfig(f"folder:{tmp_path / 'photos'}"), train=TrainConfig(2, 8), init_from=tmp_path / "before"
    )
    with pytest.raises(UserError, match="it holds the mnist network, and this run trains the cifar network"):
        make_plan(cifar10_denoise.EXPERIMENT, settings, Launch(run_dir=tmp_path / "other"))
