"""One batch on many devices: each computes its part, and one all-reduce a step adds up their gradients.

The images lie on every device, as bytes, so that gathering a shuffled batch needs no other device. Random numbers are
drawn for the batch as a whole (JAX's threefry gives each device its part of them, to the bit), so the same run on more
devices differs in the order of additions alone.
"""

import contextlib
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding
from jaxtyping import PyTree

from jaxae.errors import UserError

AXIS = "batch"
Strategy = Literal["jit", "pmap"]


class Devices(NamedTuple):
    """The devices that share each batch, of all processes, and how: hashable.

    strategy: "jit" compiles one program for the whole batch, which the compiler divides; "pmap" one for a device's
        part, in which each device draws the noise of the whole batch and takes its own part of it.
    """

    mesh: Mesh
    strategy: Strategy = "jit"

    @property
    def count(self) -> int:
        """How many devices."""
        return self.mesh.size

    @property
    def same(self) -> NamedSharding:
        """Of an array that lies on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    def split(self, axis: int) -> NamedSharding:
        """Of an array divided along `axis`."""
        return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, AXIS))


def request_cpu_devices(count: int | None) -> None:
    """Have JAX show `count` CPU devices, unless the user's environment has said how many; before it starts."""
    if count is not None and jax.config.jax_num_cpu_devices < 0:
        with contextlib.suppress(RuntimeError):  # JAX has started: `find` says what there is
            jax.config.update("jax_num_cpu_devices", count)


def find(count: int | None = None, strategy: Strategy = "jit") -> Devices | None:
    """`count` devices of each process, by default all; None where that is one device and a plain `jit` serves.

    Raises UserError where there are fewer, and for pmap in several processes.
    """
    if strategy == "pmap" and jax.process_count() > 1:
        raise UserError("--parallel pmap trains in one process alone: use --parallel jit")
    chosen = []
    for process in range(jax.process_count()):
        there = [device for device in jax.devices() if device.process_index == process]
        if count is not None and count > len(there):
            what = f"{len(there)} {there[0].platform.upper()} device{'s' if len(there) > 1 else ''}"
            raise UserError(f"--devices {count}: JAX shows {what}; use at most {len(there)}")
        chosen += there[:count]
    if len(chosen) == 1 and strategy == "jit":
        return None
    return Devices(jax.make_mesh((len(chosen),), (AXIS,), (AxisType.Auto,), devices=chosen), strategy)


def check_batch_size(batch_size: int, devices: Devices | None) -> None:
    """Raise UserError unless the devices can share a batch evenly."""
    count = 1 if devices is None else devices.count
    if batch_size % count:
        nearest = max(count, (batch_size + count // 2) // count * count)
        raise UserError(
            f"--train.batch-size {batch_size}: {count} devices cannot share it evenly; the nearest that they can is "
            f"{nearest}"
        )


def put(tree: PyTree, devices: Devices | None) -> PyTree:
    """Arrays that every process has, on every device."""
    if devices is None:
        return jax.tree.map(jnp.asarray, tree)

    def everywhere(leaf: np.ndarray | Array) -> Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(everywhere(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        array = np.asarray(leaf)
        return jax.make_array_from_callback(array.shape, devices.same, lambda index: array[index])

    return jax.tree.map(everywhere, tree)


def one_copy(tree: PyTree) -> PyTree:
    """Arrays that lie on every device, as they are on this process's first one."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def placement(devices: Devices | None, axis: int) -> Sharding:
    """Of an array divided among `devices` along `axis`; without devices, on the default one."""
    return devices.split(axis) if devices is not None else SingleDeviceSharding(jax.local_devices()[0])


def pmap(epoch: Callable[..., PyTree], devices: Devices) -> Callable[..., PyTree]:
    """``epoch(member, state, images)`` of each device under `jax.pmap`, as a function of `numbers` and these three.

    What each device sees of the three is all of them, so they may lie on every device already.
    """

    def on_a_device(_: Array, *arguments: PyTree) -> PyTree:
        return epoch(*arguments)

    chosen = list(devices.mesh.devices.flat)
    return jax.pmap(on_a_device, AXIS, in_axes=(0, None, None, None), out_axes=None, donate_argnums=2, devices=chosen)


def numbers(devices: Devices) -> np.ndarray:
    """The argument that `jax.pmap` wants to divide."""
    return np.arange(devices.count)


def own_part(x: Array, devices: Devices | None) -> Array:
    """Inside a program: the part of a batch that a device computes."""
    if devices is None:
        return x
    if devices.strategy == "jit":
        return lax.with_sharding_constraint(x, devices.split(0))
    size = len(x) // devices.count
    return lax.dynamic_slice_in_dim(x, lax.axis_index(AXIS) * size, size)


def mean(function: Callable[..., PyTree], devices: Devices | None) -> Callable[..., PyTree]:
    """``function(params, *batch)``, whose results are means over the batch, of which each device computes its part.

    The compiler makes one all-reduce of those of all results.
    """
    if devices is None:
        return function

    def of_own_part(params: PyTree, *batch: Array) -> PyTree:
        return lax.pmean(function(params, *batch), AXIS)

    if devices.strategy == "pmap":
        return of_own_part
    same, split = PartitionSpec(), PartitionSpec(AXIS)

    def of_batch(params: PyTree, *batch: Array) -> PyTree:
        in_specs = (same, *[split] * len(batch))
        return jax.shard_map(of_own_part, mesh=devices.mesh, in_specs=in_specs, out_specs=same, check_vma=False)(
            params, *batch
        )

    return of_batch
