"""Many trainings of one task at once: members differ in seed, learning rate and strength of noise.

One program trains them all: `jax.vmap` over a training's own pure core, the members sharded over the devices. On a CPU
the members of a device take turns inside the program instead, since one member's batch fills the cache already.
"""

import functools
from collections.abc import Iterator
from time import perf_counter

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Float, UInt8

from jaxae import ops
from jaxae.train import Epoch, Member, Task, TrainState, epochs_done, init, train_epoch

AXIS = "members"
TAKE_TURNS = {"cpu"}  # backends on which the members of a device are trained one after another in each epoch


def stack(members: list[Member]) -> Member:
    """Members as one, with a leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)


def init_population(task: Task, members: Member, image_shape: tuple[int, ...]) -> TrainState:
    """A fresh state for each of `members` (see `stack`), along a leading axis."""
    return jax.vmap(lambda member: init(task, member, image_shape))(members)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
def population_epoch(
    task: Task, members: Member, states: TrainState, images: UInt8[Array, "n h w c"]
) -> tuple[TrainState, Float[Array, "members steps"]]:
    """One epoch of each member, as `train_epoch` would train it alone."""
    task = task._replace(model=task.model.clone(way=ops.resolve(task.model.way, batched=True)))

    def one(member_and_state: tuple[Member, TrainState], images: Array) -> tuple[TrainState, Array]:
        return train_epoch(task, *member_and_state, images)

    def on_a_device(members: Member, states: TrainState, images: Array) -> tuple[TrainState, Array]:
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


def fit_population(
    task: Task, members: Member, states: TrainState, images: UInt8[Array, "n h w c"], epochs: int
) -> Iterator[tuple[Epoch, Float[Array, " members"]]]:
    """Train until `epochs` epochs are done; yields after each, as `fit` does, with each member's own loss beside it."""
    start = perf_counter()
    lowered = population_epoch.lower(task, members, states, images)
    program = lowered.compile(compiler_options=ops.compiler_options(task.model.way))
    compile_seconds = perf_counter() - start
    first = jax.tree.map(lambda leaf: leaf[0], states)
    for number in range(epochs_done(task, first, images) + 1, epochs + 1):
        start = perf_counter()
        states, losses = jax.block_until_ready(program(members, states, images))
        seconds = perf_counter() - start
        yield Epoch(states, number, float(losses.mean()), seconds, compile_seconds), losses.mean(axis=1)
        compile_seconds = 0.0
