"""Ways to compute a convolution and a transposed convolution, and the one place that picks among them.

A way of computing is an :class:`Ops`: the layout it works in and two pure functions on arrays of that layout. Kernels
are ``[height, width, in, out]`` whatever the way, so parameters do not depend on it. A network calls ``enter`` once on
its input and ``leave`` once on its output, and stays in the layout between.
"""

from jaxae.ops import xla
from jaxae.ops.types import Ops

WAYS: dict[str, Ops] = {"xla": xla.OPS}


def pick(name: str) -> Ops:
    """The way of computing called `name`; ``"auto"`` picks for the default backend."""
    if name == "auto":
        name = "xla"
    return WAYS[name]
