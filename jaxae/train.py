"""Training: one step, one epoch as one compiled program, and the loop over epochs.

The images stay on the device as uint8. Shuffling, gathering, scaling, noise and the steps all happen inside the
epoch's program; the host touches the device once an epoch. Every random draw is a `fold_in` of the run's key with what
it is for and the epoch or step, so a run that is stopped and resumed draws the same numbers.
"""

import functools
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax import Array, lax
from jax.stages import Lowered
from jax.typing import ArrayLike
from jaxtyping import Float, Float32, Int32, Key, PyTree, UInt8

from jaxae import ops, parallel
from jaxae.data.stream import Stream
from jaxae.errors import UserError
from jaxae.noise import Noise

Images = Float[Array, "batch height width channels"]

INIT, SHUFFLE, NOISE, TARGET_NOISE = range(4)  # what a key is for


class TrainState(NamedTuple):
    """All that changes in training."""

    step: Int32[Array, ""]
    params: PyTree
    opt_state: PyTree


class Task(NamedTuple):
    """All that does not change in training; hashable, so that a compiled program can be specialised on it."""

    model: nn.Module
    optimizer: optax.GradientTransformation  # for a learning rate of 1
    noise: Noise
    batch_size: int
    target: Literal["clean", "noisy"] = "clean"
    devices: parallel.Devices | None = None  # that share each batch; None: whichever one the arrays lie on


class Member(NamedTuple):
    """What sets one training apart from another of the same task: arrays, so that many can be trained at once."""

    key: Key[Array, ""]
    learning_rate: Float32[Array, ""]
    strengths: Float32[Array, "kinds 2"]  # of the noise, in place of the task's own


def make_member(task: Task, seed: int, learning_rate: float) -> Member:
    """A training with the task's own noise."""
    return Member(jax.random.key(seed), jnp.float32(learning_rate), jnp.asarray(task.noise.strengths))


@functools.partial(jax.jit, static_argnums=(0, 2))
def init(task: Task, member: Member, image_shape: tuple[int, ...]) -> TrainState:
    """A fresh state for images of `image_shape` [height, width, channels]."""
    model = task.model.clone(way="xla")  # parameters are the same for every way, and this one compiles fastest
    params = model.init(jax.random.fold_in(member.key, INIT), jnp.zeros((1, *image_shape)))["params"]
    with jax.numpy_dtype_promotion("standard"):  # as in `train_step`
        return TrainState(jnp.int32(0), params, task.optimizer.init(params))


def to_float(images: UInt8[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Bytes 0…255 as float32 in [0, 1]."""
    return images.astype(jnp.float32) / 255


def loss_fn(params: PyTree, model: nn.Module, noisy: Images, target: Images) -> Float[Array, ""]:
    """Mean squared error of the restored images over all their numbers."""
    return jnp.mean(jnp.square(model.apply({"params": params}, noisy) - target))


def train_step(
    task: Task, member: Member, state: TrainState, noisy: Images, target: Images
) -> tuple[TrainState, Float[Array, ""]]:
    """One step of the optimizer: the new state and the loss before it."""

    def mean_loss(params: PyTree, noisy: Array, target: Array) -> Array:
        return loss_fn(params, task.model, noisy, target)

    value_and_grad = ops.micro.value_and_grad(mean_loss, task.model.micro_batch)
    loss, grads = parallel.mean(value_and_grad, task.devices)(state.params, noisy, target)
    with jax.numpy_dtype_promotion("standard"):  # Optax mixes its integer count with floats
        updates, opt_state = task.optimizer.update(grads, state.opt_state, state.params)
    params = jax.tree.map(lambda param, update: param + member.learning_rate * update, state.params, updates)
    return TrainState(state.step + 1, params, opt_state), loss


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Full batches in an epoch; the remainder of each epoch's own shuffle is left out. Raises UserError if none."""
    if batch_size > images:
        raise UserError(
            f"--train.batch-size {batch_size}: more than the {images} training images; use at most {images}"
        )
    return images // batch_size


def epoch_order(task: Task, member: Member, epoch: Int32[ArrayLike, ""], images: int) -> Int32[Array, "steps batch"]:
    """Which images each step of an epoch trains on; `epoch` counts from 0."""
    steps = steps_per_epoch(images, task.batch_size)
    key = jax.random.fold_in(jax.random.fold_in(member.key, SHUFFLE), epoch)
    return jax.random.permutation(key, images)[: steps * task.batch_size].reshape(steps, task.batch_size)


def noisy_step(
    task: Task, member: Member, state: TrainState, images: UInt8[Array, "batch h w c"]
) -> tuple[TrainState, Float[Array, ""]]:
    """`train_step` on a batch of bytes, with the noise that belongs to this step."""
    noise_key, target_key = (jax.random.fold_in(member.key, use) for use in (NOISE, TARGET_NOISE))
    clean = to_float(images)

    def corrupt(key: Array) -> Array:
        return task.noise.apply(jax.random.fold_in(key, state.step), clean, member.strengths)

    noisy = corrupt(noise_key)
    # Noise2Noise (Lehtinen et al., 2018): a second noisy copy as target averages out to the clean image
    target = clean if task.target == "clean" else corrupt(target_key)
    own = functools.partial(parallel.own_part, devices=task.devices)
    return train_step(task, member, state, own(noisy), own(target))


def _epoch(task: Task, member: Member, state: TrainState, images: Array) -> tuple[TrainState, Array]:
    steps = steps_per_epoch(len(images), task.batch_size)
    order = epoch_order(task, member, state.step // steps, len(images))
    return lax.scan(lambda state, batch: noisy_step(task, member, state, images[batch]), state, order)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
def train_epoch(
    task: Task, member: Member, state: TrainState, images: UInt8[Array, "n h w c"]
) -> tuple[TrainState, Float[Array, " steps"]]:
    """One pass over `images` in an order of its own: the new state and the loss of each step."""
    return _epoch(task, member, state, images)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
def train_batches(
    task: Task,
    member: Member,
    state: TrainState,
    batches: UInt8[Array, "most batch h w c"],
    count: Int32[ArrayLike, ""],
) -> tuple[TrainState, Float[Array, " most"]]:
    """The first `count` of some batches: the new state and the loss of each step."""

    def step(number: Array, carry: tuple[TrainState, Array]) -> tuple[TrainState, Array]:
        state, losses = carry
        state, loss = noisy_step(task, member, state, batches[number])
        return state, losses.at[number].set(loss)

    return lax.fori_loop(0, count, step, (state, jnp.zeros(len(batches))))


def lower(task: Task, member: Member, state: TrainState, images: UInt8[Array, "n h w c"] | Stream) -> Lowered:
    """The program that `fit` runs: of an epoch, or of a chunk of a stream's batches."""
    if isinstance(images, Stream):
        shape = images.chunk_shape(steps_per_epoch(len(images), task.batch_size), task.batch_size)
        batches = jax.ShapeDtypeStruct(shape, jnp.uint8, sharding=parallel.placement(task.devices, axis=1))
        return train_batches.lower(task, member, state, batches, np.int32(0))
    if parallel.uses_pmap(task.devices):
        epoch = parallel.pmap(functools.partial(_epoch, task), task.devices)
        return epoch.lower(parallel.numbers(task.devices), member, state, images)
    return train_epoch.lower(task, member, state, images)


def _stream_epoch(
    program: Callable, task: Task, member: Member, state: TrainState, stream: Stream
) -> tuple[TrainState, Float[np.ndarray, " steps"]]:
    """What is left of the epoch that `state` is in; each chunk is read and put while the one before is computed."""
    steps, losses = steps_per_epoch(len(stream), task.batch_size), []
    epoch, first = divmod(int(state.step), steps)
    order = np.asarray(_epoch_order(task, member, np.int32(epoch), len(stream)))[first:]
    chunks = stream.chunks(order, steps, parallel.placement(task.devices, axis=1))
    ahead = next(chunks)
    while ahead is not None:
        batches, count = ahead
        state, of_chunk = program(member, state, batches, np.int32(count))
        ahead = next(chunks, None)
        losses.append(np.asarray(of_chunk)[:count])
    return state, np.concatenate(losses)


_epoch_order = jax.jit(epoch_order, static_argnums=(0, 3))


class Epoch(NamedTuple):
    """What an epoch ends with."""

    state: TrainState
    number: int  # the first is 1
    loss: float  # mean over the steps, each before its update
    seconds: float  # without compiling
    compile_seconds: float  # 0 after the first


def fit(
    task: Task, member: Member, state: TrainState, images: UInt8[Array, "n h w c"] | Stream, epochs: int
) -> Iterator[Epoch]:
    """Train until `epochs` epochs are done, those in `state` included; yields after each.

    Images on the device are trained on in one program an epoch, those of a stream chunk by chunk, from the very step
    that `state` has come to. A state given or yielded is consumed by the next epoch: copy what is to be kept.
    """
    start = perf_counter()
    program = lower(task, member, state, images).compile(compiler_options=ops.compiler_options(task.model.way))
    if isinstance(images, Stream):
        program = functools.partial(_stream_epoch, program, task)
        jax.block_until_ready(_epoch_order(task, member, np.int32(0), len(images)))
    elif parallel.uses_pmap(task.devices):
        program = functools.partial(program, parallel.numbers(task.devices))
    compile_seconds = perf_counter() - start
    for number in range(epochs_done(task, state, images) + 1, epochs + 1):
        start = perf_counter()
        state, losses = jax.block_until_ready(program(member, state, images))
        yield Epoch(state, number, float(losses.mean()), perf_counter() - start, compile_seconds)
        compile_seconds = 0.0


def epochs_done(task: Task, state: TrainState, images: UInt8[Array, "n h w c"] | Stream) -> int:
    """How many epochs led to `state`."""
    return int(state.step) // steps_per_epoch(len(images), task.batch_size)
