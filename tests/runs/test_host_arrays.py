import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from jaxae.runs import host_arrays

ARRAYS = arrays_of.arrays(
    st.sampled_from(["float32", "int32", "uint8", "bool"]), arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0)
)


@given(st.lists(ARRAYS, min_size=1, max_size=5))
def test_what_was_packed_is_unpacked_to_the_bit(leaves):
    tree = {"first": leaves[0], "others": tuple(leaves[1:])}
    packed = host_arrays.pack(tree)
    assert packed.dtype == np.uint8
    unpacked = host_arrays.unpack(packed, host_arrays.empty(tree))
    assert host_arrays.shapes(unpacked) == host_arrays.shapes(tree)
    for got, put in zip(jax.tree.leaves(unpacked), jax.tree.leaves(tree), strict=True):
        assert got.tobytes() == put.tobytes()


def test_what_is_empty_holds_no_memory():
    like = host_arrays.empty({"a": jax.ShapeDtypeStruct((1000, 1000), jnp.float32)})["a"]
    assert like.shape == (1000, 1000)
    assert like.strides == (0, 0)


def test_what_was_fetched_is_a_copy():
    array = jnp.arange(3.0)
    fetched = host_arrays.fetch([array])[0]
    fetched[0] = 5
    assert array[0] == 0


def test_arrays_are_placed_as_others_lie():
    several = jax.sharding.NamedSharding(jax.make_mesh((8,), ("all",)), jax.sharding.PartitionSpec("all"))
    like = [jax.device_put(jnp.zeros(16), several), jnp.zeros(3)]
    spread, alone = host_arrays.place([np.arange(16.0, dtype=np.float32), np.ones(3, np.float32)], like)
    assert spread.sharding == several
    assert not alone.committed
    assert np.array_equal(spread, np.arange(16.0))
