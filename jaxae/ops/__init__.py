"""Ways to compute a convolution and a transposed convolution, and the one place that picks among them.

A way of computing is an :class:`Ops`: the layout it works in, two pure functions on arrays of that layout, and the
options the compiler needs to make them fast. Kernels are ``[height, width, in, out]`` whatever the way, so parameters
do not depend on it. A network calls ``enter`` once on its input and ``leave`` once on its output, and stays in the
layout between.
"""

import jax

from jaxae.errors import UserError
from jaxae.ops import lanes, micro, random, rows, xla
from jaxae.ops.types import Ops

__all__ = ["WAYS", "Ops", "compiler_options", "micro", "pick", "random", "resolve"]

# "xla_in_parts" differs from "xla" in the micro-batches that `jaxae.models` gives it: XLA's compiler for TPUs takes
# minutes over a convolution of few channels on a large batch.
WAYS: dict[str, Ops] = {"xla": xla.OPS, "lanes": lanes.OPS, "rows": rows.OPS, "xla_in_parts": xla.OPS}

# What "auto" picks on a backend, by the figures in `benchmarks/README.md`; elsewhere "xla": no GPU is measured yet.
AUTO = {"cpu": "lanes", "tpu": "xla_in_parts"}

# The same for many networks at once, under `jax.vmap` over their weights. A convolution becomes a grouped one, which
# TPUs' compiler turns into something fast, but GPUs' does not; products stay products. (Not measured on a GPU.)
AUTO_BATCHED = AUTO | {"gpu": "rows"}


def resolve(name: str, backend: str | None = None, batched: bool = False) -> str:
    """The name of the way that `name` stands for; ``"auto"`` picks for `backend`, by default JAX's own.

    batched: whether the network is batched over its weights.
    Raises UserError for a name that is none of these.
    """
    if name == "auto":
        return (AUTO_BATCHED if batched else AUTO).get(backend or jax.default_backend(), "xla")
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
