"""An ensemble: many runs of one task, whose members differ in seed, learning rate and strength of noise.

One program trains them all: `jax.vmap` over the pure core of a single run, with the members sharded over the devices.
On a CPU the members of a device are trained one after another inside the program, since one batch fills the cache
already.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jax.stages import Lowered
from jaxtyping import PyTree

from jaxae import ops
from jaxae.data.images import Images
from jaxae.training import parallel
from jaxae.training.sources import DeviceImages
from jaxae.training.step import Hyperparameters
from jaxae.training.task import Task
from jaxae.training.testing import Batches, batch_images

AXIS = "members"
SEQUENTIAL = {"cpu"}  # platforms on which the members of a device are trained one after another in each epoch


def stack(members: list[Hyperparameters]) -> Hyperparameters:
    """Stack the hyperparameters of members along a leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)


def over_members(
    function: Callable[..., PyTree], mesh: Mesh, task: Task, hyper: PyTree, states: PyTree, *others: PyTree
) -> PyTree:
    """Call ``function(task, hyper, state, *others)`` for each member, as it would be called for a lone run."""
    task = task._replace(model=task.model.clone(backend=ops.resolve_backend(task.model.backend, ensemble=True)))

    def on_a_device(hyper: PyTree, states: PyTree, *others: PyTree) -> PyTree:
        if jax.default_backend() in SEQUENTIAL:
            return lax.map(lambda member: function(task, *member, *others), (hyper, states))
        return jax.vmap(lambda *member: function(task, *member, *others))(hyper, states)

    split, same = PartitionSpec(AXIS), PartitionSpec()
    in_specs = (split, split, *[same] * len(others))
    return jax.shard_map(on_a_device, mesh=mesh, in_specs=in_specs, out_specs=split, check_vma=False)(
        hyper, states, *others
    )


class EnsembleImages(DeviceImages):
    """Images on every device, on which one program trains all members of an ensemble (see `stack`).

    The members are shared evenly among the devices: `place_run` repeats the last ones up to the number that makes that
    possible, and `cut` leaves them out again.
    """

    def __init__(self, images: Images, members: int):
        """Place images for this number of members."""
        each = -(-members // len(jax.devices()))  # members on a device
        used = -(-members // each)
        self._mesh = jax.make_mesh((used,), (AXIS,), (AxisType.Auto,), devices=jax.devices()[:used])
        self._everywhere = parallel.Devices(self._mesh)
        self.members, self._padded = members, used * each
        super().__init__(images, self._everywhere)

    def place_run(self, tree: PyTree) -> PyTree:
        """Put arrays of all members, as in `stack`, on the devices."""
        sharding = NamedSharding(self._mesh, PartitionSpec(AXIS))
        numbers = jnp.minimum(jnp.arange(self._padded), self.members - 1)
        return jax.tree.map(lambda leaf: jax.device_put(jnp.asarray(leaf)[numbers], sharding), tree)

    def cut(self, tree: PyTree) -> PyTree:
        """Return the arrays of the members themselves."""
        return jax.tree.map(lambda leaf: leaf[: self.members], tree)

    def lower_program(self, function: Callable[..., Any], task: Task, *arguments: PyTree) -> Lowered:
        """Lower ``function(task, hyper, state, *others)``, a pure function of a single run, for all members."""
        program = ops.jit(over_members, task.model.backend, static_argnums=(0, 1, 2))
        return program.lower(function, self._mesh, task, *arguments)

    def place_test(self, images: Images) -> Batches:
        """Place test images on every device."""
        return parallel.put(batch_images(images), self._everywhere)
