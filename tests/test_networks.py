import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import networks
from jaxae.errors import UserError
from tests.small_run import random_params


def build(name, **kwargs):
    model = networks.build(name, "xla", **kwargs)
    images = jax.random.uniform(jax.random.key(1), (2, *model.image_shape))
    return model, {"params": random_params(name)}, images


@functools.cache
def program(model, method):
    """One for all tests, since compiling it is most of what they do."""
    return jax.jit(functools.partial(model.apply, method=method))


def apply(model, variables, images, method="__call__"):
    return program(model, method)(variables, images)


@pytest.mark.parametrize(("name", "code", "count"), [("mnist", (3, 3, 64), 112_065), ("cifar", (28, 28, 8), 1_611)])
def test_shapes_and_sizes_are_the_designs(name, code, count):
    model, variables, images = build(name)
    assert apply(model, variables, images).shape == images.shape
    assert apply(model, variables, images, "encode").shape == (2, *code)
    initial = jax.eval_shape(model.init, jax.random.key(0), images)
    assert sum(leaf.size for leaf in jax.tree.leaves(initial)) == count


@pytest.mark.parametrize(("name", "reflect_padding"), [("mnist", 0), ("cifar", 4)])
def test_decode_after_encode_is_the_whole_network(name, reflect_padding):
    model, variables, images = build(name, reflect_padding=reflect_padding)
    codes = apply(model, variables, images, "encode")
    assert codes.min() >= 0
    whole = apply(model, variables, images)
    assert jnp.allclose(apply(model, variables, codes, "decode"), whole, atol=1e-6)
    assert 0 < whole.min() < whole.max() < 1


@pytest.mark.parametrize(("name", "height", "width"), [("mnist", 20, 44), ("mnist", 64, 32), ("cifar", 5, 9)])
def test_other_sizes_come_back_as_they_went_in(name, height, width):
    model, variables, _ = build(name)
    images = jax.ShapeDtypeStruct((1, height, width, model.image_shape[2]), jnp.float32)
    assert networks.resolve_name(name, images.shape[1:]) == name
    assert jax.eval_shape(model.apply, variables, images) == images


def test_reflect_padding_is_numpys_and_the_output_loses_it():
    class Same(networks.Network):
        def forward(self, x):
            seen.append(x)
            return x

    seen, images = [], jax.random.uniform(jax.random.key(1), (2, 6, 7, 2))
    assert jnp.array_equal(Same("xla", reflect_padding=3).apply({}, images), images)
    assert np.array_equal(seen[0], np.pad(images, [(0, 0), (3, 3), (3, 3), (0, 0)], mode="reflect"))


def test_an_output_pixel_depends_on_those_within_reach():
    model, variables, images = build("cifar")
    images = images.at[1].set(images[0]).at[1, 10, 20].add(0.5)
    outputs = apply(model, variables, images)
    rows, columns = np.nonzero(np.abs(outputs[1] - outputs[0]).max(-1) > 1e-7)
    assert (rows.min(), rows.max()) == (10 - model.reach, 10 + model.reach)
    assert (columns.min(), columns.max()) == (20 - model.reach, 20 + model.reach)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("mnist", (28, 30, 1)),
        ("mnist", (30, 28, 1)),
        ("mnist", (16, 16, 1)),
        ("mnist", (28, 28, 3)),
        ("cifar", (4, 8, 3)),
    ],
)
def test_sizes_that_do_not_fit_are_refused(name, shape):
    with pytest.raises(UserError, match="×".join(map(str, shape))):
        networks.resolve_name(name, shape)


@pytest.mark.parametrize(("name", "pixels"), [("cifar", 5), ("cifar", -1), ("mnist", 3), ("mnist", 20)])
def test_reflect_padding_that_does_not_fit_is_refused(name, pixels):
    with pytest.raises(UserError, match=rf"`reflect_padding` {pixels}: the {name} network takes 0 to (4|18) pixels "):
        networks.build(name, reflect_padding=pixels)


def test_the_shape_picks_the_network():
    assert networks.resolve_name("auto", (28, 28, 1)) == "mnist"
    assert networks.resolve_name("auto", (32, 32, 3)) == "cifar"
    with pytest.raises(UserError, match=r"no network is made for images of 48×48×3 .*cifar for 32×32×3.*as `network`"):
        networks.resolve_name("auto", (48, 48, 3))


def test_images_of_any_size_are_made_to_the_shape_of_the_network():
    assert networks.crop_shape("auto", "cifar") == (32, 32, 3)
    assert networks.crop_shape("mnist", "cifar") == (28, 28, 1)


def test_an_unknown_network_is_refused():
    for use in (networks.build, lambda name: networks.resolve_name(name, (28, 28, 1))):
        with pytest.raises(UserError, match="there is no network 'minst'; did you mean mnist"):
            use("minst")


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_bfloat16_keeps_float32_parameters_and_output(name):
    model, variables, images = build(name, precision="bfloat16")
    assert (model.backend, model.dtype) == ("xla", jnp.bfloat16)
    initial = jax.eval_shape(model.init, jax.random.key(0), images)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(initial))
    restored = apply(model, variables, images)
    assert restored.dtype == jnp.float32
    exact = apply(networks.build(name, "xla"), variables, images)
    assert 0 < jnp.abs(restored - exact).max() < 0.05 * jnp.abs(exact).max()


def test_the_network_for_photographs_adds_to_the_image_block_by_block():
    model, variables, images = build("photo")
    last = variables["params"]["layers_5"]
    added = jnp.arange(12, dtype=jnp.float32) / 100  # of the 2×2 pixels of a block, row by row, each with its channels
    same = variables["params"] | {"layers_5": {"kernel": 0 * last["kernel"], "bias": added}}
    restored = apply(model, {"params": same}, images) - images
    blocks = restored.reshape(len(images), 32, 2, 32, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 12)
    np.testing.assert_allclose(blocks, np.broadcast_to(added, blocks.shape), atol=1e-6)


def test_an_output_pixel_of_the_network_for_photographs_depends_on_its_reach_alone():
    model, variables, images = build("photo")
    changed = images.at[:, 32:34, 32:34].add(0.5)
    rows = np.flatnonzero(np.abs(apply(model, variables, changed) - apply(model, variables, images)).max((0, 2, 3)))
    assert rows.min() >= 32 - model.reach
    assert rows.max() <= 33 + model.reach
    assert rows.size > 2 * model.reach - 4
