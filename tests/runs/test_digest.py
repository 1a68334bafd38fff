import jax.numpy as jnp

from jaxae.runs.digest import tree_digest


def test_equal_for_equal_bits_and_different_otherwise():
    tree = {"a": jnp.arange(4.0), "b": {"c": jnp.zeros((2, 3))}}
    same = {"b": {"c": jnp.zeros((2, 3))}, "a": jnp.arange(4.0)}
    assert tree_digest(tree) == tree_digest(same)
    others = [
        {**tree, "a": jnp.nextafter(tree["a"], jnp.full(4, 9.0))},  # one bit each
        {**tree, "a": tree["a"].astype(jnp.bfloat16)},
        {**tree, "b": {"c": jnp.zeros((3, 2))}},
        {**tree, "b": {"c": jnp.zeros((2, 3), jnp.int32)}},
        {**tree, "b": {"d": jnp.zeros((2, 3))}},
    ]
    assert len({tree_digest(other) for other in [tree, *others]}) == 6
