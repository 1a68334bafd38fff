import jax.numpy as jnp

from jaxae.run.digest import digest


def test_equal_for_equal_bits_and_different_otherwise():
    tree = {"a": jnp.arange(4.0), "b": {"c": jnp.zeros((2, 3))}}
    same = {"b": {"c": jnp.zeros((2, 3))}, "a": jnp.arange(4.0)}
    assert digest(tree) == digest(same)
    others = [
        {**tree, "a": jnp.nextafter(tree["a"], jnp.full(4, 9.0))},  # one bit each
        {**tree, "a": tree["a"].astype(jnp.bfloat16)},
        {**tree, "b": {"c": jnp.zeros((3, 2))}},
        {**tree, "b": {"d": jnp.zeros((2, 3))}},
    ]
    assert len({digest(other) for other in [tree, *others]}) == 5
