"""Ways to compute a convolution and a transposed convolution, and the one place that picks among them.

A way of computing is an :class:`Ops`: the layout it works in, two pure functions on arrays of that layout, and the
options the compiler needs to make them fast. Kernels are ``[height, width, in, out]`` whatever the way, so parameters
do not depend on it. A network calls ``enter`` once on its input and ``leave`` once on its output, and stays in the
layout between.
"""

import jax

from jaxae.errors import UserError
from jaxae.ops import lanes, micro, random, xla
from jaxae.ops.types import Ops

__all__ = ["WAYS", "Ops", "compiler_options", "micro", "pick", "random", "resolve"]

WAYS: dict[str, Ops] = {"xla": xla.OPS, "lanes": lanes.OPS}


def resolve(name: str) -> str:
    """The name of the way that `name` stands for; ``"auto"`` picks for the default backend.

    On a CPU that is "lanes", measured in `benchmarks/README.md`; elsewhere "xla", of which nothing is measured yet.
    Raises UserError for a name that is none of these.
    """
    if name == "auto":
        return "lanes" if jax.default_backend() == "cpu" else "xla"
    if name not in WAYS:
        raise UserError(f"no way of computing is called {name!r}; there are: auto, {', '.join(WAYS)}")
    return name


def pick(name: str) -> Ops:
    """The way of computing called `name`, as `resolve` reads it."""
    return WAYS[resolve(name)]


def compiler_options(name: str) -> dict[str, str]:
    """What to give ``jax.jit(…, compiler_options=…)`` around a program that computes the way called `name`.

    Without them the results are the same, only slower. They are XLA:CPU's: other backends take none.
    """
    return dict(pick(name).compiler_options) if jax.default_backend() == "cpu" else {}
