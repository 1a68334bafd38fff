"""An ensemble: many runs of one task, whose members differ in seed, learning rate and strength of noise.

One program trains them all: `jax.vmap` over the pure core of a single run, with the members sharded over the devices.
On a CPU the members of a device are trained one after another inside the program, since one batch fills the cache
already.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import AxisType, PartitionSpec
from jax.stages import Lowered
from jaxtyping import Float

from jaxae import ops
from jaxae.data.images import Images
from jaxae.data.rows import ImageRows
from jaxae.training.sources import DeviceImages
from jaxae.training.step import Hyperparameters, TrainState, train_epoch
from jaxae.training.task import Task

AXIS = "members"
SEQUENTIAL = {"cpu"}  # platforms on which the members of a device are trained one after another in each epoch


def stack(members: list[Hyperparameters]) -> Hyperparameters:
    """Stack the hyperparameters of members along a leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)


def train_ensemble_epoch(
    task: Task, members: Hyperparameters, states: TrainState, images: Images | ImageRows
) -> tuple[TrainState, Float[Array, "members steps"]]:
    """Train each member for one epoch, as `train_epoch` would train it alone."""
    task = task._replace(model=task.model.clone(backend=ops.resolve_backend(task.model.backend, ensemble=True)))

    def one(member: tuple[Hyperparameters, TrainState], images: Images | ImageRows) -> tuple[TrainState, Array]:
        return train_epoch(task, *member, images)

    def on_a_device(
        members: Hyperparameters, states: TrainState, images: Images | ImageRows
    ) -> tuple[TrainState, Array]:
        if jax.default_backend() in SEQUENTIAL:
            return lax.map(functools.partial(one, images=images), (members, states))
        return jax.vmap(one, in_axes=(0, None))((members, states), images)

    count = len(members.learning_rate)
    devices = max(n for n in range(1, len(jax.devices()) + 1) if count % n == 0)
    mesh = jax.make_mesh((devices,), (AXIS,), (AxisType.Auto,), devices=jax.devices()[:devices])
    split, same = PartitionSpec(AXIS), PartitionSpec()
    return jax.shard_map(on_a_device, mesh=mesh, in_specs=(split, split, same), out_specs=split, check_vma=False)(
        members, states, images
    )


class EnsembleImages(DeviceImages):
    """Images on every device, on which one program trains all members of an ensemble (see `stack`)."""

    def lower(self, task: Task, hyper: Hyperparameters, state: TrainState) -> Lowered:
        """Lower the epoch's program."""
        epoch = ops.jit(train_ensemble_epoch, task.model.backend, static_argnums=0, donate_argnums=2)
        return epoch.lower(task, hyper, state, self.images)
