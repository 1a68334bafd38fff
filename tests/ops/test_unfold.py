"""Products over unfolded images against the definition in float64."""

import pytest
from hypothesis import given, settings

from jaxae.ops import unfold
from tests.layer_checks import LAYERS, check


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@settings(max_examples=10, deadline=None)
@given(sizes=LAYERS)
def test_it_is_the_definition_in_value_and_gradients(dtype, sizes):
    # the bias's gradient sums hundreds of numbers in bfloat16
    check(unfold.BACKEND, sizes, dtype, {"float32": 2e-6, "bfloat16": 2**-5}[dtype])
