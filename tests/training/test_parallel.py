import re
from collections import Counter
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxae import networks, noise, training
from jaxae.errors import UserError
from jaxae.runs.checkpoints import Checkpoints
from jaxae.runs.digest import tree_digest
from jaxae.training import parallel

COLLECTIVE = r" (all-reduce|all-gather|reduce-scatter|collective-permute|all-to-all|collective-broadcast)(-start)?\("
SHAPE = (28, 28, 1)


class Microbatched(networks.MnistDenoiser):
    """Two images at a time, whatever the batch."""

    microbatch_sizes: ClassVar = {"xla": 2}


def make_images(count=44):
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPE), np.uint8)


def make_run(devices, model=None, learning_rate=1e-3):
    """The task, hyperparameters, state and images of a short run on `devices`."""
    model = networks.build("mnist", "xla") if model is None else model
    task = training.Task(model, training.make_optimizer("plain", 0), 16, devices=devices)
    hyper = training.hyperparameters(0, learning_rate, noise.parse("gaussian"))
    hyper, state = parallel.put((hyper, training.init(task, hyper, SHAPE)), devices)
    return task, hyper, state, training.place_images(make_images(), devices)


def collectives(devices, model=None):
    task, hyper, state, images = make_run(devices, model)
    text = images.lower(task, hyper, state).compile().as_text()
    return Counter(kind for kind, _ in re.findall(COLLECTIVE, text))


@pytest.fixture(scope="module")
def trained():
    """Losses and parameters of two epochs, by number of devices."""

    def fit(devices, model):
        epochs = list(training.train_epochs(*make_run(devices, model), epochs=2))
        return [epoch.loss for epoch in epochs], jax.device_get(epochs[-1].state.params)

    two, eight = parallel.find_devices(2), parallel.find_devices(8)
    runs = {1: (None, None), 2: (two, None), "2, microbatches": (two, Microbatched("xla")), 8: (eight, None)}
    return {name: fit(*run) for name, run in runs.items()}


@pytest.mark.parametrize("devices", [2, "2, microbatches", 8])
def test_more_devices_train_the_same(trained, devices):
    losses, params = trained[1]
    others, other_params = trained[devices]
    np.testing.assert_allclose(others, losses, rtol=2e-6)
    # Adam turns a gradient near 0, which is all rounding, into a step of the size of the learning rate
    distances = np.concatenate(jax.tree.leaves(jax.tree.map(lambda a, b: np.abs(a - b).ravel(), other_params, params)))
    assert np.quantile(distances, 0.999) < 2e-6
    assert distances.max() < 1e-3


@pytest.mark.parametrize("kind", ["gaussian", "poisson", "salt_and_pepper,block_masking,speckle"])
def test_noise_is_the_same_to_the_bit(kind):
    added, clean, key = noise.parse(kind), training.to_float(jnp.asarray(make_images(16))), jax.random.key(3)

    def draw(count):
        devices = parallel.find_devices(count)
        program = jax.jit(lambda key, clean: parallel.own_part(added(key, clean), devices))
        noisy = program(*parallel.put((key, clean), devices))
        assert len(noisy.sharding.device_set) == count
        return np.asarray(noisy)

    one = draw(1)
    assert not np.array_equal(one, clean)
    np.testing.assert_array_equal(draw(2), one)
    np.testing.assert_array_equal(draw(8), one)


def test_a_step_has_one_all_reduce_and_the_data_stays_where_it_is():
    # the loop over the steps is in the text once
    assert collectives(parallel.find_devices(8)) == {"all-reduce": 1}
    assert collectives(parallel.find_devices(2), Microbatched("xla")) == {"all-reduce": 1}
    assert collectives(None) == {}


def test_a_device_computes_its_part_of_the_batch_alone():
    task, hyper, state, images = make_run(parallel.find_devices(8))
    text = images.lower(task, hyper, state).compile().as_text()
    assert "f32[2,28,28,1]" in text
    assert "f32[16,28,28,1]" not in text  # no device draws the noise of the others, nor gathers their images


def test_pmap_trains_the_same(trained):
    losses, params = trained[2]
    *_, mapped = training.train_epochs(*make_run(parallel.find_devices(2, "pmap")), epochs=2)
    assert mapped.loss == pytest.approx(losses[1], rel=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), mapped.state.params, params)
    assert mapped.state.step == 4
    assert collectives(parallel.find_devices(2, "pmap")) == {"all-reduce": 1}


def test_a_checkpoint_comes_back_on_other_devices(tmp_path):
    _, _, state, _ = make_run(parallel.find_devices(8))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, score=20.0)
    for count in (1, 2, 4):
        like = make_run(parallel.find_devices(count))[2]
        with Checkpoints(tmp_path) as checkpoints:
            loaded = checkpoints.restore(1, like)
        assert tree_digest(loaded) == tree_digest(state)
        assert {len(leaf.sharding.device_set) for leaf in jax.tree.leaves(loaded)} == {count}


def test_one_device_needs_no_mesh():
    assert parallel.find_devices(1) is None
    assert parallel.find_devices(1, "pmap").count == 1
    assert parallel.find_devices().count == 8


def test_too_many_devices_are_refused():
    with pytest.raises(UserError, match="`devices` 9: JAX shows 8 CPU devices; use at most 8"):
        parallel.find_devices(9)


@pytest.mark.parametrize(("size", "nearest"), [(3, 8), (11, 8), (12, 16), (129, 128), (135, 136)])
def test_a_batch_that_cannot_be_shared_names_the_nearest_that_can(size, nearest):
    with pytest.raises(UserError, match=f"nearest size that they can is {nearest}$"):
        parallel.check_batch_size(size, parallel.find_devices(8))
    parallel.check_batch_size(nearest, parallel.find_devices(8))
    parallel.check_batch_size(size, None)
