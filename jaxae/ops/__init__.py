"""Ways to compute a convolution and a transposed convolution, and the one place that picks among them.

A way of computing is an :class:`Ops`: the layout it works in, two pure functions on arrays of that layout, and the
options the compiler needs to make them fast. Kernels are ``[height, width, in, out]`` whatever the way, so parameters
do not depend on it. A network calls ``enter`` once on its input and ``leave`` once on its output, and stays in the layout
between.
"""

import jax

from jaxae.errors import UserError
from jaxae.ops import lanes, xla
from jaxae.ops.types import Ops

WAYS: dict[str, Ops] = {"xla": xla.OPS, "lanes": lanes.OPS}


def pick(name: str) -> Ops:
    """The way of computing called `name`; ``"auto"`` picks for the default backend.

    Raises UserError for a name that is none of these.
    """
    if name == "auto":
        name = "lanes" if jax.default_backend() == "cpu" else "xla"
    if name not in WAYS:
        raise UserError(f"no way of computing is called {name!r}; there are: auto, {', '.join(WAYS)}")
    return WAYS[name]


def compiler_options(name: str) -> dict[str, str]:
    """What to give ``jax.jit(…, compiler_options=…)`` around a program that computes the way called `name`.

    Without them the results are the same, only slower.
    """
    return dict(pick(name).compiler_options)
