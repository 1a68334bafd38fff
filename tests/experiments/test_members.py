import jax.numpy as jnp
import numpy as np

from jaxae.experiments.members import Member, _unstack
from jaxae.training import TrainState


def test_each_member_that_has_not_diverged_gets_its_own_state():
    members = [object.__new__(Member) for _ in range(3)]
    for member, diverged in zip(members, (None, "it diverged", None), strict=True):
        member.diverged = diverged
    states = TrainState(jnp.int32([5, 6, 7]), {"kernel": jnp.arange(6.0).reshape(3, 2)}, ())
    (first, state), (last, other) = _unstack(members, states)
    assert [first, last] == [members[0], members[2]]
    assert [state.step, other.step] == [5, 7]
    np.testing.assert_array_equal(state.params["kernel"], [0, 1])
    np.testing.assert_array_equal(other.params["kernel"], [4, 5])
