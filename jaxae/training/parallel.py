"""One batch on many devices: each computes its part, and one all-reduce a step adds up their gradients.

Every device holds all images, as uint8, so that gathering a shuffled batch needs no communication. Random numbers are
drawn for the batch as a whole (JAX's threefry gives each device its part of them, bit by bit), so that a run on more
devices differs only in the order of additions.
"""

import contextlib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

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
    """The devices, of all processes, that share each batch; hashable.

    Attributes:
        mesh: the devices.
        strategy: "jit" compiles one program for the whole batch, which the compiler partitions; "pmap" one for the part
            of a device, in which each device draws the noise of the whole batch and takes its part.
    """

    mesh: Mesh
    strategy: Strategy = "jit"

    @property
    def count(self) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The number of devices."""
        return self.mesh.size

    @property
    def replicated(self) -> NamedSharding:
        """The sharding of an array that is on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    def split(self, axis: int) -> NamedSharding:
        """Return the sharding of an array that is split along `axis`."""
        return NamedSharding(self.mesh, PartitionSpec(*[None] * axis, AXIS))


def request_cpu_devices(count: int | None) -> None:
    """Divide the CPU into `count` JAX devices, unless the environment says how many; call before JAX starts."""
    preset = jax.config.jax_num_cpu_devices  # pyright: ignore[reportAttributeAccessIssue]
    if count is not None and preset < 0:
        with contextlib.suppress(RuntimeError):  # JAX has started: `find_devices` reports what there is
            jax.config.update("jax_num_cpu_devices", count)


def find_devices(count: int | None = None, strategy: Strategy = "jit") -> Devices | None:
    """Return the devices that share each batch; None if that is one device and a plain `jit` serves.

    Args:
        count: how many of each process; by default all.
        strategy: see `Devices`.

    Raises:
        UserError: if there are fewer, and for pmap with several processes.
    """
    if strategy == "pmap" and jax.process_count() > 1:
        raise UserError("`parallel` pmap trains in one process only: use `parallel` jit")
    chosen = []
    for process in range(jax.process_count()):
        there = [device for device in jax.devices() if device.process_index == process]
        if count is not None and count > len(there):
            what = f"{len(there)} {there[0].platform.upper()} device{'s' if len(there) > 1 else ''}"
            raise UserError(f"`devices` {count}: JAX shows {what}; use at most {len(there)}")
        chosen += there[:count]
    if len(chosen) == 1 and strategy == "jit":
        return None
    return Devices(jax.make_mesh((len(chosen),), (AXIS,), (AxisType.Auto,), devices=chosen), strategy)


def check_batch_size(batch_size: int, devices: Devices | None) -> None:
    """Raise UserError unless `devices` can share a batch evenly."""
    count = 1 if devices is None else devices.count
    if batch_size % count:
        nearest = max(count, (batch_size + count // 2) // count * count)
        raise UserError(
            f"`batch_size` {batch_size}: {count} devices cannot share it evenly; the nearest size that they can is "
            f"{nearest}"
        )


def put(tree: PyTree, devices: Devices | None, split: bool = False) -> PyTree:
    """Put arrays that every process has on every device, or with `split` a part of each, except under pmap."""
    if devices is None:
        return jax.tree.map(jnp.asarray, tree)
    sharding = devices.split(0) if split and devices.strategy == "jit" else devices.replicated

    def everywhere(leaf: np.ndarray | Array) -> Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(everywhere(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        array = np.asarray(leaf)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(everywhere, tree)


def one_copy(tree: PyTree) -> PyTree:
    """Return the copy on this process's first device of arrays that are on every device."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def sharding_along(devices: Devices | None, axis: int) -> Sharding:
    """Return the sharding of an array that is split among `devices` (None: the default device) along `axis`."""
    return devices.split(axis) if devices is not None else SingleDeviceSharding(jax.local_devices()[0])


def pmap(function: Callable[..., PyTree], devices: Devices, count: int) -> Any:
    """Run a function of `count` arguments on each device under `jax.pmap`: a function of `numbers` and the arguments.

    Every device sees all of the arguments, so they may be on every device already.
    """

    def on_a_device(_: Array, *arguments: PyTree) -> PyTree:
        return function(*arguments)

    chosen, in_axes = list(devices.mesh.devices.flat), (0, *[None] * count)
    return jax.pmap(on_a_device, AXIS, in_axes=in_axes, out_axes=None, devices=chosen)


def numbers(devices: Devices) -> np.ndarray:
    """Return the argument that `jax.pmap` splits over the devices."""
    return np.arange(devices.count)


def own_part(x: Array, devices: Devices | None) -> Array:
    """Inside a program, return the part of a batch that a device computes."""
    if devices is None:
        return x
    if devices.strategy == "jit":
        return lax.with_sharding_constraint(x, devices.split(0))
    size = len(x) // devices.count
    return lax.dynamic_slice_in_dim(x, lax.axis_index(AXIS) * size, size)


def mean(function: Callable[..., PyTree], devices: Devices | None) -> Callable[..., PyTree]:
    """Share ``function(params, *batch)``, whose results are means over the batch, among devices.

    The compiler makes one all-reduce for all results.
    """
    if devices is None:
        return function

    def on_own_part(params: PyTree, *batch: Array) -> PyTree:
        return lax.pmean(function(params, *batch), AXIS)

    if devices.strategy == "pmap":
        return on_own_part
    replicated, split = PartitionSpec(), PartitionSpec(AXIS)

    def on_batch(params: PyTree, *batch: Array) -> PyTree:
        in_specs = (replicated, *[split] * len(batch))
        return jax.shard_map(on_own_part, mesh=devices.mesh, in_specs=in_specs, out_specs=replicated, check_vma=False)(
            params, *batch
        )

    return on_batch


def share(function: Callable[..., PyTree], devices: Devices | None) -> Callable[..., PyTree]:
    """Share ``function(shared, parts)``, whose results have the first axis of `parts`, among devices.

    The number of devices must divide that axis. Every device gets all results.
    """
    if devices is None:
        return function

    def on_own_part(shared: PyTree, parts: PyTree) -> PyTree:
        return jax.tree.map(lambda leaf: lax.all_gather(leaf, AXIS, tiled=True), function(shared, parts))

    if devices.strategy == "pmap":
        return lambda shared, parts: on_own_part(shared, jax.tree.map(lambda leaf: own_part(leaf, devices), parts))
    in_specs = (PartitionSpec(), PartitionSpec(AXIS))
    return jax.shard_map(on_own_part, mesh=devices.mesh, in_specs=in_specs, out_specs=PartitionSpec(), check_vma=False)
