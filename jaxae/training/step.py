"""The training step, and the epoch as a loop of steps: pure functions of the run's numbers, its state and its images.

The images stay on the device as uint8. Shuffling, gathering, scaling, noise and the steps all happen inside the
epoch's program. Every random draw is a `fold_in` of the run's key with what it is for and the epoch or step, so a run
that is stopped and resumed draws the same numbers.
"""

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Float32, Int32, Key, PyTree, UInt8

from jaxae import ops
from jaxae.data import halves
from jaxae.errors import UserError
from jaxae.noise import Noise
from jaxae.training import parallel, self_supervised

Images = Float[Array, "batch height width channels"]

INIT, SHUFFLE, NOISE, TARGET_NOISE, SCALE, PROBE = range(6)  # what a key is for


class Task(NamedTuple):
    """All that a program is compiled for; hashable."""

    model: nn.Module
    optimizer: optax.GradientTransformation  # for a learning rate of 1
    batch_size: int
    target: Literal["clean", "noisy", "self", "sure"] = "clean"
    devices: parallel.Devices | None = None  # that share each batch; None: whichever one the arrays lie on
    sigma: float | None = None  # of "sure", the noise that the images themselves have


class Hyperparameters(NamedTuple):
    """What sets one run of a task apart from another: arrays, so that one program serves all of them."""

    key: Key[Array, ""]
    learning_rate: Float32[Array, ""]
    noise: Noise


class TrainState(NamedTuple):
    """All that changes in training."""

    step: Int32[Array, ""]
    params: PyTree
    opt_state: PyTree


def hyperparameters(seed: int, learning_rate: float, noise: Noise) -> Hyperparameters:
    """Those of the run that starts from `seed`."""
    return Hyperparameters(jax.random.key(seed), jnp.float32(learning_rate), noise)


def init(task: Task, hyper: Hyperparameters, image_shape: tuple[int, ...]) -> TrainState:
    """A fresh state for images of `image_shape` [height, width, channels].

    hyper: a run's; or those of a population, stacked, for a state of each along a leading axis.
    """
    model = task.model.clone(way="xla")  # parameters are the same for every way, and this one compiles fastest
    arguments = (model, task.optimizer, hyper.key, tuple(image_shape))
    if isinstance(hyper.key, jax.core.Tracer):  # part of another program, whose compiler has options of its own
        return _init(*arguments)
    return ops.jit(_init, seldom=True, static_argnums=(0, 1, 3))(*arguments)


def _init(
    model: nn.Module, optimizer: optax.GradientTransformation, key: Key[Array, "..."], image_shape: tuple[int, ...]
) -> TrainState:
    if key.ndim:
        return jax.vmap(lambda key: _init(model, optimizer, key, image_shape))(key)
    params = model.init(jax.random.fold_in(key, INIT), jnp.zeros((1, *image_shape)))["params"]
    return _start(optimizer, params)


def start(task: Task, params: PyTree) -> TrainState:
    """The state from which `params` are trained."""
    return _start(task.optimizer, params)


def _start(optimizer: optax.GradientTransformation, params: PyTree) -> TrainState:
    with jax.numpy_dtype_promotion("standard"):  # as in `train_step`
        return TrainState(jnp.int32(0), params, optimizer.init(params))


def to_float(images: UInt8[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Bytes 0…255 as float32 in [0, 1]. Raises UserError for images that are no bytes."""
    if images.dtype != jnp.uint8:
        raise UserError(
            f"images of {images.dtype} where bytes belong, uint8 from 0 to 255 as jaxae.data.load gives them: floats "
            "in [0, 1] become these by numpy.rint(255 * images).astype(numpy.uint8)"
        )
    return images.astype(jnp.float32) / 255


def loss_fn(params: PyTree, model: nn.Module, noisy: Images, target: Images) -> Float[Array, ""]:
    """Mean squared error of the restored images over all their numbers."""
    return jnp.mean(jnp.square(model.apply({"params": params}, noisy) - target))


def train_step(
    task: Task, hyper: Hyperparameters, state: TrainState, noisy: Images, *target: Float[Array, "batch _ _ _"]
) -> tuple[TrainState, Float[Array, ""]]:
    """One step of the optimizer: the new state and the loss before it.

    target: what the restored images are compared with; of a self-supervised task, what `self_supervised.losses` wants.
    """

    def mean_loss(params: PyTree, noisy: Array, *target: Array) -> Array:
        if task.target in self_supervised.TARGETS:
            return jnp.mean(self_supervised.losses(task.target, task.model, params, noisy, *target))
        return loss_fn(params, task.model, noisy, *target)

    value_and_grad = ops.micro.value_and_grad(mean_loss, task.model.micro_batch)
    loss, grads = parallel.mean(value_and_grad, task.devices)(state.params, noisy, *target)
    with jax.numpy_dtype_promotion("standard"):  # Optax mixes its integer count with floats
        updates, opt_state = task.optimizer.update(grads, state.opt_state, state.params)
    params = jax.tree.map(lambda param, update: param + hyper.learning_rate * update, state.params, updates)
    return TrainState(state.step + 1, params, opt_state), loss


def noisy_step(
    task: Task,
    hyper: Hyperparameters,
    state: TrainState,
    images: UInt8[Array, "batch h w c"],
    indices: Int32[Array, " batch"],
    keys: Key[Array, "2"],
) -> tuple[TrainState, Float[Array, ""]]:
    """`train_step` on a batch of bytes, the training images number `indices`, with the noise that belongs to it.

    keys: this step's, see `noise_keys`.
    """
    own = functools.partial(parallel.own_part, devices=task.devices)
    if task.target in self_supervised.TARGETS:
        return train_step(task, hyper, state, *map(own, _alone(task, hyper, state.step, to_float(images), indices)))
    source, clean = halves.split(to_float(images))
    noisy = hyper.noise(keys[0], source)
    # Noise2Noise (Lehtinen et al., 2018): a second noisy copy as target averages out to the clean image
    target = clean if task.target == "clean" else hyper.noise(keys[1], source)
    return train_step(task, hyper, state, own(noisy), own(target))


def noise_keys(hyper: Hyperparameters, first: Int32[Array, ""], count: int) -> Key[Array, "{count} 2"]:
    """The keys of noise and of a noisy target's for `count` steps from `first` on.

    Drawn all at once, before the loop over steps: a GPU would launch some kernels of a single number in each of them.
    """
    uses = [jax.random.fold_in(hyper.key, use) for use in (NOISE, TARGET_NOISE)]
    steps = first + jnp.arange(count, dtype=jnp.int32)
    return jax.vmap(lambda step: jnp.stack([jax.random.fold_in(use, step) for use in uses]))(steps)


def _alone(
    task: Task, hyper: Hyperparameters, step: Int32[Array, ""], clean: Images, indices: Int32[Array, " batch"]
) -> tuple[Array, ...]:
    """What a self-supervised step is made of: the noisy copy that each image keeps, and what its loss needs."""

    def corrupt(index: Array, image: Array) -> Array:
        return hyper.noise(jax.random.fold_in(jax.random.fold_in(hyper.key, NOISE), index), image)

    deviation = hyper.noise.ranges[0, 0] if hyper.noise.kinds else task.sigma or 0.0
    shifts = step + jnp.arange(len(clean), dtype=jnp.int32)
    probe = jax.random.fold_in(jax.random.fold_in(hyper.key, PROBE), step)
    return self_supervised.prepare(
        task.target, jax.vmap(corrupt)(indices, clean), shifts, probe, jnp.float32(deviation)
    )


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Full batches in an epoch; the remainder of each epoch's own shuffle is left out. Raises UserError if none."""
    if batch_size > images:
        raise UserError(
            f"--train.batch-size {batch_size}: more than the {images} training images; use at most {images}"
        )
    return images // batch_size


def epochs_done(task: Task, state: TrainState, images: int) -> int:
    """How many epochs on so many `images` led to `state`, which may be that of a population."""
    return int(state.step.ravel()[0]) // steps_per_epoch(images, task.batch_size)


def epoch_order(
    task: Task, hyper: Hyperparameters, epoch: Int32[ArrayLike, ""], images: int
) -> Int32[Array, "steps batch"]:
    """Which images each step of an epoch trains on; `epoch` counts from 0."""
    steps = steps_per_epoch(images, task.batch_size)
    key = jax.random.fold_in(jax.random.fold_in(hyper.key, SHUFFLE), epoch)
    return jax.random.permutation(key, images)[: steps * task.batch_size].reshape(steps, task.batch_size)


def train_epoch(
    task: Task, hyper: Hyperparameters, state: TrainState, images: UInt8[Array, "n h w c"]
) -> tuple[TrainState, Float[Array, " steps"]]:
    """One pass over `images` in an order of its own: the new state and the loss of each step."""
    steps = steps_per_epoch(len(images), task.batch_size)
    order = epoch_order(task, hyper, state.step // steps, len(images))

    def step(state: TrainState, inputs: tuple[Array, Array]) -> tuple[TrainState, Array]:
        batch, keys = inputs
        return noisy_step(task, hyper, state, images[batch], batch, keys)

    return lax.scan(step, state, (order, noise_keys(hyper, state.step, steps)))


def train_batches(
    task: Task,
    hyper: Hyperparameters,
    state: TrainState,
    batches: UInt8[Array, "most batch h w c"],
    order: Int32[Array, "steps batch"],
    count: Int32[ArrayLike, ""],
) -> tuple[TrainState, Float[Array, " most"]]:
    """The first `count` of some batches, the next in the epoch's `order`: the new state and the loss of each step."""

    keys = noise_keys(hyper, state.step, len(batches))

    def step(number: Array, carry: tuple[TrainState, Array]) -> tuple[TrainState, Array]:
        state, losses = carry
        indices = order[state.step % len(order)]
        state, loss = noisy_step(task, hyper, state, batches[number], indices, keys[number])
        return state, losses.at[number].set(loss)

    return lax.fori_loop(0, count, step, (state, jnp.zeros(len(batches))))
