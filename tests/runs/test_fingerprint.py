"""A run goes on on the images that it was trained on, wherever they lie, and on no others."""

import dataclasses
import functools
import json

import jax
import numpy as np
import pytest
from PIL import Image

from jaxae.config import Config, DataConfig, DataOverride, Launch, TrainConfig
from jaxae.data import Images
from jaxae.data.configured import _load_shared
from jaxae.data.images import Subset
from jaxae.errors import UserError
from jaxae.experiments import cifar10_denoise, mnist_denoise
from jaxae.experiments.resolving import resolve
from jaxae.experiments.running import claim_run
from jaxae.runs import directory, fingerprint, trained
from jaxae.runs.fingerprint import Fingerprint, describe_change, read_fingerprint, take_fingerprint
from tests.small_run import write_run

BEFORE = Fingerprint(90, 10, "a", "b")


def add_pictures(folder, numbers):
    folder.mkdir(exist_ok=True)
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 256, (28, 28), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")


@pytest.fixture
def resolved(tmp_path, monkeypatch):
    """``resolved(folder, **config)``: the plan of a run on the pictures in `folder`, its directory claimed."""
    monkeypatch.chdir(tmp_path)

    def make(folder, resume=False, **config):
        _load_shared.cache_clear()  # as in a new process
        settings = Config(DataConfig(f"folder:{folder}"), train=TrainConfig(2, 8, backend="xla"), **config)
        made = resolve(mnist_denoise.EXPERIMENT, settings, Launch(run_dir=tmp_path / "run", resume=resume))
        claim_run(made)
        return made

    return make


def test_a_folder_that_grows_shrinks_or_changes_is_refused_and_one_that_moves_is_not(resolved, tmp_path):
    add_pictures(tmp_path / "photos", range(40))
    first = resolved("photos")
    assert first.config.data.name == f"folder:{tmp_path / 'photos'}"
    assert read_fingerprint(tmp_path / "run") == first.data
    assert first.data.train + first.data.test == 40
    resolved("photos", resume=True)

    add_pictures(tmp_path / "photos", range(40, 50))
    with pytest.raises(UserError, match=r"is not what .*run was trained on \(\d+ training .* with `init_from` .*run"):
        resolved("photos", resume=True)
    for number in range(40, 50):
        (tmp_path / "photos" / f"{number:03}.png").unlink()

    (tmp_path / "photos").rename(tmp_path / "moved")
    moved = resolved("moved", resume=True)
    assert moved.data == first.data
    assert directory.load_config(tmp_path / "run").data.name == f"folder:{tmp_path / 'moved'}"

    shown = next(path for path in sorted((tmp_path / "moved").iterdir()) if path.name == "000.png")
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(shown)
    with pytest.raises(UserError, match=r"as many (training|test) images, but others"):
        resolved("moved", resume=True)


def test_every_pixel_shape_and_part_counts():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 1), np.uint8)
    other = np.where(np.arange(2)[:, None, None, None] == 1, 0, pixels)  # the second image differs
    kinds = [Images(pixels), Images(pixels.reshape(2, 6, 4, 1)), Images(other)]
    kinds += [Images(pixels, pixels), Images(pixels, other), Images(other, pixels)]
    found = [take_fingerprint(images, Images(pixels)) for images in kinds]
    assert len({each.train_digest for each in found}) == len(kinds)
    assert found[0].test_digest == found[0].train_digest
    assert take_fingerprint(Images(pixels), Images(other)) == Fingerprint(
        2, 2, found[0].train_digest, found[2].train_digest
    )
    assert take_fingerprint(Images(Subset(pixels, np.arange(2))), Images(pixels)).train_digest is None


def test_what_has_changed_in_words():
    changed = functools.partial(dataclasses.replace, BEFORE)
    assert describe_change(BEFORE, BEFORE) is None
    assert describe_change(BEFORE, changed(train_digest=None)) is None  # too large to be read for a digest
    assert "90 training and 10 test images, now 80 and 10" in describe_change(BEFORE, changed(train=80))
    assert "90 training and 10 test images, now 90 and 7" in describe_change(BEFORE, changed(test=7))
    assert describe_change(BEFORE, changed(test_digest="c")).startswith("as many test images")
    assert describe_change(BEFORE, changed(train_digest="c")).startswith("as many training images")


def test_a_damaged_record_is_named(tmp_path):
    assert read_fingerprint(tmp_path) is None
    wrong = ({"train": None}, {"train": "x"}, {"test": []}, {"test_digest": None}, {"train_digest": 1})
    broken = [json.dumps(dataclasses.asdict(BEFORE) | change) for change in wrong]
    for content in ("{", "[]", '{"train": 1}', *broken):
        (tmp_path / fingerprint.FILE).write_text(content)
        with pytest.raises(UserError, match=r"data\.json is damaged"):
            read_fingerprint(tmp_path)


def test_a_test_on_other_images_than_the_runs_own_is_said_to_be_so(tmp_path):
    write_run(tmp_path / "run", "mnist")
    run = trained.load_run(tmp_path / "run")
    add_pictures(tmp_path / "photos", range(30))
    run = dataclasses.replace(
        run, config=dataclasses.replace(run.config, data=DataConfig(f"folder:{tmp_path / 'photos'}"))
    )
    images = trained.open_test(run).images
    fingerprint.write_fingerprint(run.run_dir, fingerprint.take_fingerprint(images, images))
    trained.open_test(run)
    add_pictures(tmp_path / "photos", range(30, 60))
    with pytest.warns(UserWarning, match="no longer holds the test images"):
        trained.open_test(run)
    trained.open_test(run, DataOverride("digits_small", tmp_path / "data"))


def test_a_run_starts_from_another_of_its_network(resolved, tmp_path):
    add_pictures(tmp_path / "photos", range(20))
    params = write_run(tmp_path / "before", "mnist")
    made = resolved("photos", init_from=tmp_path / "before")
    jax.tree.map(np.testing.assert_array_equal, made.start, params)
    assert directory.load_config(tmp_path / "run").init_from == tmp_path / "before"
    (tmp_path / "run" / "checkpoints" / "1").mkdir(parents=True)
    (tmp_path / "before").rename(tmp_path / "gone")
    assert resolved("photos", resume=True, init_from=tmp_path / "before").start is None  # it has come further than that
    (tmp_path / "gone").rename(tmp_path / "before")
    settings = Config(
        DataConfig(f"folder:{tmp_path / 'photos'}"), train=TrainConfig(2, 8), init_from=tmp_path / "before"
    )
    with pytest.raises(UserError, match="it holds the mnist network, and this run trains the cifar network"):
        resolve(cifar10_denoise.EXPERIMENT, settings, Launch(run_dir=tmp_path / "other"))
