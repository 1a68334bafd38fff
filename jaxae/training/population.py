"""Many runs of one task at once, a population: its members differ in seed, learning rate and strength of noise.

One program trains them all: `jax.vmap` over the pure core of a lone run, the members sharded over the devices. On a CPU
the members of a device take turns inside the program instead, since one member's batch fills the cache already.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import AxisType, PartitionSpec
from jax.stages import Lowered
from jaxtyping import Float, UInt8

from jaxae import ops
from jaxae.training.sources import DeviceImages
from jaxae.training.step import Hyperparameters, Task, TrainState, train_epoch

AXIS = "members"
TAKE_TURNS = {"cpu"}  # backends on which the members of a device are trained one after another in each epoch


def stack(members: list[Hyperparameters]) -> Hyperparameters:
    """Members as one, with a leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)


def population_epoch(
    task: Task, members: Hyperparameters, states: TrainState, images: UInt8[Array, "n h w c"]
) -> tuple[TrainState, Float[Array, "members steps"]]:
    """One epoch of each member, as `train_epoch` would train it alone."""
    task = task._replace(model=task.model.clone(way=ops.resolve(task.model.way, batched=True)))

    def one(member: tuple[Hyperparameters, TrainState], images: Array) -> tuple[TrainState, Array]:
        return train_epoch(task, *member, images)

    def on_a_device(members: Hyperparameters, states: TrainState, images: Array) -> tuple[TrainState, Array]:
        if jax.default_backend() in TAKE_TURNS:
            return lax.map(functools.partial(one, images=images), (members, states))
        return jax.vmap(one, in_axes=(0, None))((members, states), images)

    count = len(members.learning_rate)
    devices = max(n for n in range(1, len(jax.devices()) + 1) if count % n == 0)
    mesh = jax.make_mesh((devices,), (AXIS,), (AxisType.Auto,), devices=jax.devices()[:devices])
    spread, same = PartitionSpec(AXIS), PartitionSpec()
    return jax.shard_map(on_a_device, mesh=mesh, in_specs=(spread, spread, same), out_specs=spread, check_vma=False)(
        members, states, images
    )


class PopulationImages(DeviceImages):
    """Images on every device, on which all members of a population (see `stack`) are trained in one program."""

    def lower(self, task: Task, hyper: Hyperparameters, state: TrainState) -> Lowered:
        """The epoch's program."""
        epoch = ops.jit(population_epoch, task.model.way, static_argnums=0, donate_argnums=2)
        return epoch.lower(task, hyper, state, self.images)
