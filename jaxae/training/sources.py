"""Where training images lie, and the program that trains an epoch on them: on the device, under pmap, or streamed.

A source is made of the images and the devices that share each batch. `lower` gives its program uncompiled, `compile`
an epoch: ``epoch(hyper, state) -> (state, losses)``, which consumes the state it is given.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.stages import Lowered
from jaxtyping import Float, UInt8

from jaxae import ops
from jaxae.data.stream import Stream
from jaxae.errors import UserError
from jaxae.training import parallel
from jaxae.training.step import (
    Hyperparameters,
    Task,
    TrainState,
    epoch_order,
    steps_per_epoch,
    train_batches,
    train_epoch,
)

Images = UInt8[np.ndarray, "n h w c"] | UInt8[Array, "n h w c"]
Losses = Float[Array, "*members steps"] | Float[np.ndarray, " steps"]
EpochProgram = Callable[[Hyperparameters, TrainState], tuple[TrainState, Losses]]


class DeviceImages:
    """Images on every device, as bytes: an epoch is one program."""

    placement = "device"

    def __init__(self, images: Images, devices: parallel.Devices | None = None):
        self.images = parallel.put(images, devices)
        self.shape = self.images.shape

    def __len__(self) -> int:
        return self.shape[0]

    def lower(self, task: Task, hyper: Hyperparameters, state: TrainState) -> Lowered:
        """The epoch's program."""
        epoch = ops.jit(train_epoch, task.model.way, static_argnums=0, donate_argnums=2)
        return epoch.lower(task, hyper, state, self.images)

    def compile(self, task: Task, hyper: Hyperparameters, state: TrainState) -> EpochProgram:
        """An epoch, compiled."""
        program = self.lower(task, hyper, state).compile()
        return lambda hyper, state: program(hyper, state, self.images)


class PmapImages(DeviceImages):
    """The same with a program for each device, by `jax.pmap`."""

    def __init__(self, images: Images, devices: parallel.Devices):
        super().__init__(images, devices)
        self.devices = devices

    def lower(self, task: Task, hyper: Hyperparameters, state: TrainState) -> Lowered:
        """The epoch's program."""
        epoch = parallel.pmap(functools.partial(train_epoch, task), self.devices)
        return epoch.lower(parallel.numbers(self.devices), hyper, state, self.images)

    def compile(self, task: Task, hyper: Hyperparameters, state: TrainState) -> EpochProgram:
        """An epoch, compiled."""
        options = dict(ops.compiler_options(task.model.way))
        program = self.lower(task, hyper, state).compile(compiler_options=options)
        return lambda hyper, state: program(parallel.numbers(self.devices), hyper, state, self.images)


class StreamedImages:
    """Images that stay on the host: each chunk of batches is read and put while the one before is computed."""

    placement = "stream"

    def __init__(self, stream: Stream, devices: parallel.Devices | None = None):
        self.stream, self.shape = stream, stream.shape
        self.sharding = parallel.placement(devices, axis=1)

    def __len__(self) -> int:
        return len(self.stream)

    def lower(self, task: Task, hyper: Hyperparameters, state: TrainState) -> Lowered:
        """The program of a chunk."""
        shape = self.stream.chunk_shape(steps_per_epoch(len(self), task.batch_size), task.batch_size)
        batches = jax.ShapeDtypeStruct(shape, jnp.uint8, sharding=self.sharding)
        order = jax.ShapeDtypeStruct((steps_per_epoch(len(self), task.batch_size), task.batch_size), jnp.int32)
        chunk = ops.jit(train_batches, task.model.way, static_argnums=0, donate_argnums=2)
        return chunk.lower(task, hyper, state, batches, order, np.int32(0))

    def compile(self, task: Task, hyper: Hyperparameters, state: TrainState) -> EpochProgram:
        """What is left of the epoch that a state is in, from its very step on, compiled."""
        program = self.lower(task, hyper, state).compile()
        order = ops.jit(epoch_order, static_argnums=(0, 3))
        jax.block_until_ready(order(task, hyper, np.int32(0), len(self)))
        return functools.partial(self._epoch, program, order, task)

    def _epoch(
        self, program: Callable, order: Callable, task: Task, hyper: Hyperparameters, state: TrainState
    ) -> tuple[TrainState, Losses]:
        steps, losses = steps_per_epoch(len(self), task.batch_size), []
        epoch, first = divmod(int(state.step), steps)
        batches = np.asarray(order(task, hyper, np.int32(epoch), len(self)))
        chunks = self.stream.chunks(batches[first:], steps, self.sharding)
        ahead = next(chunks)
        while ahead is not None:
            images, count = ahead
            state, of_chunk = program(hyper, state, images, batches, np.int32(count))
            ahead = next(chunks, None)
            losses.append(np.asarray(of_chunk)[:count])
        return state, np.concatenate(losses)


Source = DeviceImages | StreamedImages


def source(images: Images | Stream, devices: parallel.Devices | None = None) -> Source:
    """The source for `images`, those of an array on the `devices` that share each batch, those of a stream on the host.

    Raises UserError for a stream under pmap.
    """
    pmapped = devices is not None and devices.strategy == "pmap"
    if isinstance(images, Stream):
        if pmapped:
            raise UserError(
                "--parallel pmap trains on images on the device: use --parallel jit, or --data.placement device"
            )
        return StreamedImages(images, devices)
    return PmapImages(images, devices) if pmapped else DeviceImages(images, devices)
