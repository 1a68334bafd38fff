"""`jaxae.denoise`: arrays of every kind, with the results of the command."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxae
from jaxae import networks
from jaxae.config import Config, RangeOverride
from jaxae.denoising import __main__ as denoising
from jaxae.errors import UserError
from jaxae.runs.trained import TrainedRun
from tests.small_run import draw_params, write_run


@pytest.fixture(scope="module")
def model():
    network = networks.build("cifar", "xla", reflect_padding=4)
    return TrainedRun(Path("run"), Config(network="cifar"), network, draw_params(network), 1)


@pytest.fixture(scope="module")
def grey_model():
    network = networks.build("mnist", "xla")
    return TrainedRun(Path("run"), Config(network="mnist"), network, draw_params(network), 1)


def draw(shape, dtype=np.uint8):
    values = np.random.default_rng(0).random(shape)
    return (values * np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else values).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64, jnp.bfloat16])
def test_dtype_and_shape_are_kept_and_only_rounding_differs(model, dtype):
    images = draw((2, 20, 30, 3), np.float32)
    white = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    given = (np.rint(images * white) if white > 1 else images).astype(dtype)
    restored = jaxae.denoise(given, model)
    assert (type(restored), restored.dtype, restored.shape) == (np.ndarray, dtype, images.shape)
    values = restored.astype(np.float64) / white
    np.testing.assert_allclose(values, jaxae.denoise(images, model), atol=0.02 if dtype == jnp.bfloat16 else 4e-3)
    assert not np.array_equal(restored, given)


def test_a_jax_array_comes_back_as_one(model):
    images = jnp.asarray(draw((20, 30, 3)))
    restored = jaxae.denoise(images, model)
    assert isinstance(restored, jax.Array)
    assert restored.sharding == images.sharding
    np.testing.assert_array_equal(restored, jaxae.denoise(np.asarray(images), model))


def test_a_stack_is_its_pictures_one_by_one(model):
    stack = draw((2, 2, 16, 20, 3))
    restored = jaxae.denoise(stack, model)
    for place in np.ndindex(2, 2):
        np.testing.assert_array_equal(restored[place], jaxae.denoise(stack[place], model))
    grey = jaxae.denoise(stack[..., 0], model)
    np.testing.assert_array_equal(grey[1, 0], jaxae.denoise(stack[1, 0, ..., 0], model))
    np.testing.assert_array_equal(grey, jaxae.denoise(stack[..., :1], model)[..., 0])


def test_the_axis_of_the_channels_is_the_last_one_or_named(model):
    picture = draw((16, 20, 3))
    restored = jaxae.denoise(picture, model)
    first = jaxae.denoise(np.moveaxis(picture, -1, 0), model, channel_axis=0)
    np.testing.assert_array_equal(np.moveaxis(first, 0, -1), restored)
    np.testing.assert_array_equal(jaxae.denoise(picture, model, channel_axis=-1), restored)
    narrow = draw((2, 16, 3))  # grey pictures, 3 pixels wide
    alone = [jaxae.denoise(each, model) for each in narrow]
    np.testing.assert_array_equal(jaxae.denoise(narrow, model, channel_axis=None), alone)


def test_colour_enters_a_grey_network_channel_by_channel(grey_model):
    picture = draw((30, 40, 3))
    apart = [jaxae.denoise(picture[..., channel], grey_model) for channel in range(3)]
    np.testing.assert_array_equal(jaxae.denoise(picture, grey_model), np.stack(apart, -1))


def test_values_are_between_black_and_white(model):
    twelve_bits = draw((16, 20), np.float32) * 4095
    restored = jaxae.denoise(twelve_bits.astype(np.uint16), model, value_range=(0.0, 4095.0))
    of_floats = jaxae.denoise(np.floor(twelve_bits) / np.float32(4095), model)
    np.testing.assert_allclose(restored, of_floats * 4095, atol=0.6)


@pytest.mark.parametrize(
    ("images", "options", "error", "message"),
    [
        (np.zeros((8, 8), np.int64), {}, TypeError, "images of int64: they must be uint8, uint16 or floats"),
        (np.zeros((8, 8), bool), {}, TypeError, "images of bool"),
        (np.zeros(8, np.uint8), {}, UserError, r"shape \(8,\)"),
        (np.zeros((0, 8), np.uint8), {}, UserError, r"shape \(0, 8\)"),
        (np.zeros((8, 8, 4), np.uint8), {}, UserError, "is the last axis alpha?"),
        (np.zeros((8, 8, 4), np.uint8), {"channel_axis": -1}, UserError, "`channel_axis` -1"),
        (np.full((8, 8), 1.5), {}, UserError, "values from 1.5 to 1.5, beyond 0 to 1: clip them"),
        (np.full((8, 8), np.nan), {}, UserError, "values from nan"),
        (np.full((8, 8), 5, np.uint16), {"value_range": (0.0, 4.0)}, UserError, "beyond 0 to 4"),
        (np.full((8, 8), 5, np.uint16), {"value_range": (5.0, 5.0)}, UserError, "beyond 5 to 5"),
    ],
)
def test_other_arrays_are_refused(model, images, options, error, message):
    with pytest.raises(error, match=message):
        jaxae.denoise(images, model, **options)


def test_the_command_gives_the_same(tmp_path):
    write_run(tmp_path / "run", "cifar", backend="xla")
    arrays = {"colour": draw((30, 40, 3)), "grey": draw((33, 25)), "deep": draw((3, 20, 30), np.uint16)}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    inputs = tuple(tmp_path / f"{name}.npy" for name in arrays)
    options = denoising.Arguments(tmp_path / "run", inputs, tmp_path / "out", data=RangeOverride("0,65535"))
    with pytest.warns(UserWarning, match="8-bit values go from 0 to 255"):
        denoising.denoise_files(options)
    model = jaxae.load(tmp_path / "run")
    for name, array in arrays.items():
        np.testing.assert_array_equal(np.load(tmp_path / "out" / f"{name}.npy"), jaxae.denoise(array, model))
