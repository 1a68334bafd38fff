"""The training step, and the epoch as a loop of steps: pure functions of hyperparameters, state and images.

Images stay on the device as uint8. Shuffling, gathering, scaling, noise and the steps all happen inside the epoch's
program. Every random draw is a `fold_in` of the run's key with its use and the epoch or step, so that a resumed run
draws the same numbers.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Float, Float32, Int32, Key, PyTree, Shaped

from jaxae import ops
from jaxae.data.images import Images
from jaxae.data.rows import ImageRows
from jaxae.errors import UserError
from jaxae.networks import Network
from jaxae.noise import Noise
from jaxae.training import parallel
from jaxae.training.objectives import Batch, Draws
from jaxae.training.task import Task, steps_per_epoch

INIT, SHUFFLE, NOISE, TARGET_NOISE, LSUV, PROBE = range(6)  # the uses of a key


class Hyperparameters(NamedTuple):
    """What distinguishes runs of one task. They are arrays, so one program serves all of them.

    Attributes:
        key: the random key of the run, made from its seed.
        learning_rate: the rate, or the peak of a schedule.
        noise: the noise to add to the images.
    """

    key: Key[Array, ""]
    learning_rate: Float32[Array, ""]
    noise: Noise


class TrainState(NamedTuple):
    """What changes during training.

    Attributes:
        step: the number of steps so far.
        params: the parameters of the network.
        opt_state: the state of the optimizer.
    """

    step: Int32[Array, ""]
    params: PyTree
    opt_state: PyTree


def hyperparameters(seed: int, learning_rate: float, noise: Noise) -> Hyperparameters:
    """Return the hyperparameters of the run with this seed."""
    return Hyperparameters(jax.random.key(seed), jnp.float32(learning_rate), noise)


def init(task: Task, hyper: Hyperparameters, image_shape: tuple[int, ...]) -> TrainState:
    """Draw an initial state.

    Args:
        task: see `Task`.
        hyper: a run's hyperparameters, or those of an ensemble, stacked; its states get the same leading axis.
        image_shape: [height, width, channels] of the images.
    """
    model = task.model.clone(backend=ops.REFERENCE)  # every backend has the same parameters
    arguments = (model, task.optimizer, hyper.key, tuple(image_shape))
    if isinstance(hyper.key, Tracer):  # part of another program, whose compiler has options of its own
        return _init(*arguments)
    return ops.jit(_init, compile_soon=True, static_argnums=(0, 1, 3))(*arguments)


def _init(
    model: Network, optimizer: optax.GradientTransformation, key: Key[Array, "..."], image_shape: tuple[int, ...]
) -> TrainState:
    if key.ndim:
        return jax.vmap(lambda key: _init(model, optimizer, key, image_shape))(key)
    params = model.init(jax.random.fold_in(key, INIT), jnp.zeros((1, *image_shape)))["params"]
    return _start(optimizer, params)


def start_from(task: Task, params: PyTree) -> TrainState:
    """Return the state for training from `params`."""
    return _start(task.optimizer, params)


def _start(optimizer: optax.GradientTransformation, params: PyTree) -> TrainState:
    with jax.numpy_dtype_promotion("standard"):  # as in `train_step`
        return TrainState(jnp.int32(0), params, optimizer.init(params))


def to_float(images: Shaped[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Convert uint8 0…255, or uint16 0…65535, to float32 in [0, 1].

    Raises:
        UserError: for images of another dtype.
    """
    if images.dtype not in (jnp.uint8, jnp.uint16):
        raise UserError(
            f"images of {images.dtype} where uint8 from 0 to 255 is needed, as jaxae.data loads them: convert floats "
            "in [0, 1] by numpy.rint(255 * images).astype(numpy.uint8)"
        )
    return images.astype(jnp.float32) / jnp.iinfo(images.dtype).max


def train_step(
    task: Task, hyper: Hyperparameters, state: TrainState, batch: Batch
) -> tuple[TrainState, Float[Array, ""]]:
    """Take one step of the optimizer on a batch that the objective has prepared; returns the loss before it, too."""

    def losses(params: PyTree, *batch: Array) -> Float[Array, "batch ..."]:
        def apply(noisy: Array) -> Any:
            return task.model.apply({"params": params}, noisy)

        return task.objective.losses(apply, batch)

    value_and_grad = ops.microbatch.value_and_grad(losses, task.model.microbatch_size)
    loss, grads = parallel.mean(value_and_grad, task.devices)(state.params, *batch)
    with jax.numpy_dtype_promotion("standard"):  # Optax mixes its integer count with floats
        updates, opt_state = task.optimizer.update(grads, state.opt_state, state.params)
    params = jax.tree.map(lambda param, update: param + hyper.learning_rate * update, state.params, updates)
    return TrainState(state.step + 1, params, opt_state), loss


def step_keys(hyper: Hyperparameters, first: Int32[Array, ""], count: int) -> Key[Array, "{count} 3"]:
    """Return the keys of `Draws` that change with the step, for `count` steps from `first` on.

    All are drawn before the loop over steps: inside, a GPU would launch several tiny kernels for them in every step.
    """
    uses = [jax.random.fold_in(hyper.key, use) for use in (NOISE, TARGET_NOISE, PROBE)]
    steps = first + jnp.arange(count, dtype=jnp.int32)
    return jax.vmap(lambda step: jnp.stack([jax.random.fold_in(use, step) for use in uses]))(steps)


def prepare_batch(
    task: Task,
    hyper: Hyperparameters,
    step: Int32[Array, ""],
    images: Images,
    indices: Int32[Array, " batch"],
    keys: Key[Array, "3"],
) -> Batch:
    """Return the batch of a step: of a device, its part of it.

    Args:
        task: see `Task`.
        hyper: the run's hyperparameters.
        step: the number of the step.
        images: uint8, the training images with the numbers `indices`.
        indices: see `images`.
        keys: of this step, see `step_keys`.
    """
    draws = Draws(keys[0], keys[1], keys[2], jax.random.fold_in(hyper.key, NOISE), step, indices)
    batch = task.objective.prepare(jax.tree.map(to_float, images), hyper.noise, draws)
    return tuple(parallel.own_part(part, task.devices) for part in batch)


def epochs_done(task: Task, state: TrainState, count: int) -> int:
    """Return how many epochs on `count` images led to `state`; of an ensemble, to the member that is furthest."""
    return int(np.max(state.step)) // steps_per_epoch(count, task.batch_size)


def epoch_order(
    task: Task, hyper: Hyperparameters, epoch: Int32[ArrayLike, ""], count: int
) -> Int32[Array, "steps batch"]:
    """Return the numbers of the images in each step of an epoch, which counts from 0."""
    steps = steps_per_epoch(count, task.batch_size)
    key = jax.random.fold_in(jax.random.fold_in(hyper.key, SHUFFLE), epoch)
    return jax.random.permutation(key, count)[: steps * task.batch_size].reshape(steps, task.batch_size)


def train_epoch(
    task: Task, hyper: Hyperparameters, state: TrainState, images: Images | ImageRows
) -> tuple[TrainState, Float[Array, " steps"]]:
    """Train on every one of the uint8 `images` in a random order; returns the new state and the loss of each step."""
    steps = steps_per_epoch(images.count, task.batch_size)
    order = epoch_order(task, hyper, state.step // steps, images.count)

    def step(state: TrainState, inputs: tuple[Array, Array]) -> tuple[TrainState, Array]:
        indices, keys = inputs
        return train_step(
            task, hyper, state, prepare_batch(task, hyper, state.step, images.take(indices), indices, keys)
        )

    return lax.scan(step, state, (order, step_keys(hyper, state.step, steps)))


def train_chunk(
    task: Task,
    hyper: Hyperparameters,
    state: TrainState,
    batches: Images,
    order: Int32[Array, "steps batch"],
    count: Int32[ArrayLike, ""],
) -> tuple[TrainState, Float[Array, " most"]]:
    """Train on a chunk of a streamed epoch; returns the new state and the loss of each step.

    Args:
        task: see `Task`.
        hyper: the run's hyperparameters.
        state: the state before.
        batches: uint8 [most, batch, height, width, channels], the next batches of the epoch.
        order: the order of the whole epoch.
        count: how many of `batches` to train on; the others are padding.
    """
    most = batches.count
    keys = step_keys(hyper, state.step, most)

    def step(number: Array, carry: tuple[TrainState, Array]) -> tuple[TrainState, Array]:
        state, losses = carry
        indices = order[state.step % len(order)]
        batch = prepare_batch(task, hyper, state.step, batches.take(number), indices, keys[number])
        state, loss = train_step(task, hyper, state, batch)
        return state, losses.at[number].set(loss)

    return lax.fori_loop(0, count, step, (state, jnp.zeros(most)))
