"""Where training images are, and the program that trains an epoch on them: on the device, under pmap, or streamed.

``lower(task, hyper, state)`` lowers a source's program, and ``compile(...)`` returns the epoch as a function
``epoch(hyper, state) -> (state, losses)``. Where images are on the device, ``compile_program`` does so for any function
of a single run.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.stages import Lowered
from jaxtyping import Float, PyTree, UInt8

from jaxae import ops
from jaxae.data.images import Images
from jaxae.data.rows import ImageRows
from jaxae.data.stream import Stream
from jaxae.errors import UserError
from jaxae.training import parallel
from jaxae.training.step import (
    Hyperparameters,
    TrainState,
    epoch_order,
    train_chunk,
    train_epoch,
)
from jaxae.training.task import Task, steps_per_epoch
from jaxae.training.testing import Batches, batch_images

Losses = Float[Array, "*members steps"] | Float[np.ndarray, " steps"]
EpochProgram = Callable[[Hyperparameters, TrainState], tuple[TrainState, Losses]]


class Placement:
    """Where arrays are put beside training images.

    Attributes:
        devices: that share each batch; None for the default device.
    """

    devices: parallel.Devices | None

    def place_run(self, tree: PyTree) -> PyTree:
        """Put hyperparameters and states beside the training images."""
        return parallel.put(tree, self.devices)

    def place_test(self, images: Images) -> Batches:
        """Place test images beside the training images."""
        batches = batch_images(images, 1 if self.devices is None else self.devices.count)
        return Batches(
            parallel.put(batches.images, self.devices, split=True), parallel.put(batches.count, self.devices)
        )

    def cut(self, tree: PyTree) -> PyTree:
        """Return what of the results on the host belongs to a run: see `EnsembleImages`."""
        return tree


class DeviceImages(Placement):
    """Images on every device as uint8, on which one program trains an epoch."""

    placement = "device"

    def __init__(self, images: Images, devices: parallel.Devices | None = None):
        self.devices = devices
        self.images = parallel.put(ImageRows.of(images), devices)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all images."""
        return self.images.shape

    def __len__(self) -> int:
        return self.shape[0]

    def lower_program(self, function: Callable[..., Any], task: Task, *arguments: PyTree) -> Lowered:
        """Lower ``function(task, hyper, state, *others)``, a pure function of a single run, for these images."""
        options = {} if self.devices is None else {"out_shardings": self.devices.replicated}
        return ops.jit(function, task.model.backend, static_argnums=0, **options).lower(task, *arguments)

    def compile_program(self, function: Callable[..., Any], task: Task, *arguments: PyTree) -> Callable[..., Any]:
        """Compile it to a function of `arguments`."""
        return self.lower_program(function, task, *arguments).compile()

    def lower(self, task: Task, hyper: Hyperparameters, state: TrainState) -> Lowered:
        """Lower the epoch's program."""
        return self.lower_program(train_epoch, task, hyper, state, self.images)

    def compile(self, task: Task, hyper: Hyperparameters, state: TrainState) -> EpochProgram:
        """Compile an epoch."""
        program = self.compile_program(train_epoch, task, hyper, state, self.images)
        return lambda hyper, state: program(hyper, state, self.images)


class PmapImages(DeviceImages):
    """Images on every device, on which each device runs a program of its own, by `jax.pmap`."""

    devices: parallel.Devices

    def lower_program(self, function: Callable[..., Any], task: Task, *arguments: PyTree) -> Lowered:
        """Lower the program of each device."""
        mapped = parallel.pmap(functools.partial(function, task), self.devices, len(arguments))
        return mapped.lower(parallel.numbers(self.devices), *arguments)

    def compile_program(self, function: Callable[..., Any], task: Task, *arguments: PyTree) -> Callable[..., Any]:
        """Compile it to a function of `arguments`."""
        options: dict[str, Any] = dict(ops.compiler_options(task.model.backend))
        program = self.lower_program(function, task, *arguments).compile(compiler_options=options)
        return functools.partial(program, parallel.numbers(self.devices))


class StreamedImages(Placement):
    """Images on the host: each chunk of batches is read and transferred while the one before is computed."""

    placement = "stream"

    def __init__(self, stream: Stream, devices: parallel.Devices | None = None):
        self.stream, self.shape, self.devices = stream, stream.shape, devices
        self.sharding = parallel.sharding_along(devices, axis=1)

    def __len__(self) -> int:
        return self.shape[0]

    def lower(self, task: Task, hyper: Hyperparameters, state: TrainState) -> Lowered:
        """Lower the program of a chunk."""
        steps = steps_per_epoch(len(self), task.batch_size)
        chunk = jax.ShapeDtypeStruct(self.stream.chunk_shape(steps, task.batch_size), jnp.uint8, sharding=self.sharding)
        batches = jax.tree.map(lambda _: chunk, self.stream.images)
        order = jax.ShapeDtypeStruct((steps, task.batch_size), jnp.int32)
        program = ops.jit(train_chunk, task.model.backend, static_argnums=0)
        return program.lower(task, hyper, state, batches, order, np.int32(0))

    def compile(self, task: Task, hyper: Hyperparameters, state: TrainState) -> EpochProgram:
        """Compile an epoch, which goes on from whatever step a state is at."""
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
        ahead = next(chunks, None)
        while ahead is not None:
            images, count = ahead
            state, of_chunk = program(hyper, state, images, batches, np.int32(count))
            ahead = next(chunks, None)
            losses.append(np.asarray(of_chunk)[:count])
        return state, np.concatenate(losses)


TrainingImages = DeviceImages | StreamedImages


def place_images(
    images: Images | Stream | UInt8[np.ndarray, "n h w c"] | UInt8[Array, "n h w c"],
    devices: parallel.Devices | None = None,
) -> TrainingImages:
    """Place training images for `devices` that share each batch.

    Args:
        images: uint8 images to put on every device, as an array or as `Images`; or a `Stream`, which stays on the host.
        devices: see `Task`.

    Raises:
        UserError: for a stream under pmap.
    """
    uses_pmap = devices is not None and devices.strategy == "pmap"
    if isinstance(images, Stream):
        if uses_pmap:
            raise UserError("`parallel` pmap needs images on the device: use `parallel` jit, or `placement` device")
        return StreamedImages(images, devices)
    both = images if isinstance(images, Images) else Images(images)
    return PmapImages(both, devices) if uses_pmap and devices is not None else DeviceImages(both, devices)
