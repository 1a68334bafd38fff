from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np

from jaxae.experiments.members import Member, _set_results
from jaxae.training import Loop, RunState, TrainState
from jaxae.training.sources import Placement
from jaxae.training.testing import Measured


def test_each_member_gets_its_own_state_and_scores_without_the_padding():
    members, loop = [object.__new__(Member) for _ in range(3)], object.__new__(Loop)
    loop._images = Placement()
    for member in members:
        member.resolved = SimpleNamespace(test=SimpleNamespace(images=SimpleNamespace(count=2)))
    states = TrainState(jnp.int32([5, 6, 7]), {"kernel": jnp.arange(6.0).reshape(3, 2)}, ())
    measured = Measured({"psnr": jnp.arange(9.0).reshape(3, 3)}, {}, jnp.float32([0.25, 0.5, 0.75]))
    _set_results(members, loop, RunState(states, measured, None, jnp.zeros(3, bool)))
    for number, member in enumerate(members):
        assert member.state.step == 5 + number
        np.testing.assert_array_equal(member.state.params["kernel"], [2 * number, 2 * number + 1])
        np.testing.assert_array_equal(member.scores.values["psnr"], [3 * number, 3 * number + 1])
        assert member.scores.spread == 0.25 * (1 + number)
