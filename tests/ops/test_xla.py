"""XLA's own convolution, and the definition that every backend is compared with."""

import numpy as np
from hypothesis import given, settings

from jaxae.ops import xla
from tests.layer_checks import LAYERS, check, definition, operands_of


def xla_can(sizes):
    # XLA:CPU (jaxlib 0.10.2 and 0.12.0) aborts the process over the gradient of its own convolution for 2×4 kernels and
    # such: "algebraic_simplifier.cc: Check failed: Window dimensions do not match RHS shape"
    return not (sizes["stride"] == 2 and sizes["padding"] == 1 and 2 in sizes["kernel"])


@settings(max_examples=12, deadline=None)
@given(sizes=LAYERS.filter(xla_can))
def test_it_is_the_definition_in_value_and_gradients(sizes):
    check(xla.BACKEND, sizes)


@settings(max_examples=50, deadline=None)
@given(sizes=LAYERS)
def test_the_definitions_gradients_are_its_slopes(sizes):
    operands, rng = operands_of(sizes), np.random.default_rng(1)
    cotangent = rng.normal(size=definition(sizes, operands)[0].shape)
    _, *gradients = definition(sizes, operands, cotangent)
    for number, gradient in enumerate(gradients):
        direction = rng.normal(size=gradient.shape)
        ends = [[a + step * direction if i == number else a for i, a in enumerate(operands)] for step in (0.5, -0.5)]
        # exact: the layer is linear in each operand
        change = np.subtract(*(definition(sizes, end)[0] for end in ends))
        np.testing.assert_allclose(np.sum(gradient * direction), np.sum(cotangent * change), rtol=1e-9, atol=1e-9)
