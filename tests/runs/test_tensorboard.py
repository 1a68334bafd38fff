"""The event file, read back with TensorBoard's own reader."""

import importlib.util
import io

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxae import networks, noise
from jaxae.data import Images
from jaxae.errors import UserError
from jaxae.runs import tensorboard
from jaxae.runs.evaluation_set import EvaluationSet
from jaxae.training import objectives
from tests.small_run import random_params

HISTORY = [{"epoch": epoch, "train_loss": 0.1 / epoch, "psnr": 10.0 + epoch} for epoch in range(1, 5)]
GREY = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)


def read(run_dir):
    """What TensorBoard shows: {tag: {step: value}}; a step that is there twice fails."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run_dir / tensorboard.FOLDER), size_guidance={"images": 0, "tensors": 0})
    events.Reload()
    shown = {}
    for tag in events.Tags()["scalars"]:
        steps = [event.step for event in events.Scalars(tag)]
        assert len(steps) == len(set(steps)), (tag, steps)
        shown[tag] = {event.step: event.value for event in events.Scalars(tag)}
    for tag in events.Tags()["images"]:
        shown[tag] = {event.step: event.encoded_image_string for event in events.Images(tag)}
    return shown


def log(run_dir, history):
    """Log the epochs one after another."""
    for record in history:
        tensorboard.log_epochs(run_dir, [record], GREY)


def expected(lines):
    tags = [name for name in lines[0] if name != "epoch"]
    return {tag: {line["epoch"]: pytest.approx(line[tag], rel=1e-6) for line in lines} for tag in tags}


def test_every_metric_and_the_image_are_there(tmp_path):
    log(tmp_path, HISTORY[:3])
    shown = read(tmp_path)
    images = shown.pop("test_images")
    assert shown == expected(HISTORY[:3])
    assert sorted(images) == [1, 2, 3]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(images[1])).convert("L")), GREY[..., 0])


def test_a_resumed_run_logs_each_epoch_once(tmp_path):
    log(tmp_path, HISTORY[:3])
    for path in (tmp_path / tensorboard.FOLDER).iterdir():  # written earlier than within this second
        path.rename(path.with_name(path.name.replace("tfevents.", "tfevents.0")))
    again = [*HISTORY[:2], HISTORY[2] | {"psnr": 99.0}]
    tensorboard.log_epochs(tmp_path, again[2:], GREY)  # its checkpoint was not finished
    shown = read(tmp_path)
    assert sorted(shown.pop("test_images")) == [1, 2, 3]
    assert shown == expected(again)


def test_several_epochs_are_logged_at_once_with_the_image_of_the_last(tmp_path):
    assert not tensorboard.is_logged(tmp_path)
    tensorboard.log_epochs(tmp_path, HISTORY, GREY)
    assert tensorboard.is_logged(tmp_path)
    shown = read(tmp_path)
    assert list(shown.pop("test_images")) == [4]
    assert shown == expected(HISTORY)


def test_the_picture_has_a_noisy_a_restored_and_a_clean_row():
    model = networks.build("cifar", backend="xla")
    params = random_params("cifar")
    images = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), np.uint8)
    test = EvaluationSet("random", Images(images), noise.parse("gaussian", 0.3))
    picture = tensorboard.draw_samples(model, params, test)
    assert picture.shape == (3 * 32 * tensorboard.SCALE, tensorboard.COLUMNS * 32 * tensorboard.SCALE, 3)
    noisy, restored, clean = (rows[:: tensorboard.SCALE, :: tensorboard.SCALE] for rows in np.split(picture, 3))
    np.testing.assert_array_equal(clean, np.concatenate(images[: tensorboard.COLUMNS], axis=1))
    assert 0 < np.abs(noisy.astype(float) - clean).mean() < 80
    computed = model.apply({"params": params}, jnp.asarray(noisy[None, :, :32], jnp.float32) / 255)
    # the network saw the noise before it was clipped to be shown
    assert np.abs(np.asarray(computed[0]) - restored[:, :32] / 255).mean() < 0.02

    alone = tensorboard.draw_samples(model, params, test._replace(objective=objectives.Noise2Self()))
    np.testing.assert_array_equal(alone, picture[: 2 * 32 * tensorboard.SCALE])  # no clean images are known


def test_a_missing_package_is_one_line(monkeypatch):
    tensorboard.require_tensorboard()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[tensorboard\]'"):
        tensorboard.require_tensorboard()
