"""Ways to compute a convolution and a transposed convolution, and the one place that picks among them.

A way of computing is an :class:`Ops`: the layout it works in, two pure functions on arrays of that layout, and the
options the compiler needs to make them fast. Kernels are ``[height, width, in, out]`` whatever the way, so parameters
do not depend on it. A network calls ``enter`` once on its input and ``leave`` once on its output, and stays in the
layout between.

Every program is made by `jit` here, which gives the compiler those options: `jax.jit` itself is banned elsewhere (by
ruff), since a network under it would run slower than it can without a word.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.stages import Wrapped

from jaxae.errors import UserError
from jaxae.ops import lanes, micro, random, unfold, xla
from jaxae.ops.types import Ops

__all__ = ["WAYS", "Ops", "compiler_options", "jit", "micro", "pick", "random", "resolve"]

# "xla_in_parts" differs from "xla" in the micro-batches that `jaxae.models` gives it: XLA's compiler for TPUs takes
# minutes over a convolution of few channels on a large batch.
WAYS: dict[str, Ops] = {"xla": xla.OPS, "lanes": lanes.OPS, "unfold": unfold.OPS, "xla_in_parts": xla.OPS}

# What "auto" picks on a backend, by the figures in `benchmarks/README.md`; elsewhere "xla": no GPU is measured yet.
AUTO = {"cpu": "lanes", "tpu": "xla_in_parts"}

# The same for many networks at once, under `jax.vmap` over their weights. A convolution becomes a grouped one, which
# TPUs' compiler turns into something fast, but GPUs' does not; products stay products. (Not measured on a GPU.)
AUTO_BATCHED = AUTO | {"gpu": "unfold"}

# Of LLVM's levels of optimization the first: the third unrolls the rounds of JAX's generator of random numbers,
# which are most of a program that draws a network's first weights (1.5 seconds in place of 5).
SOON = {"xla_backend_optimization_level": 1}


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


def compiler_options(name: str) -> Mapping[str, str]:
    """What the compiler of JAX's backend needs to know to make the way called `name` fast: nothing but on a CPU.

    Without them the results are the same, only slower.
    """
    return pick(name).compiler_options if jax.default_backend() == "cpu" else {}


@functools.lru_cache(maxsize=256)
def jit(function: Callable[..., Any], way: str = "xla", seldom: bool = False, **options: Any) -> Wrapped:
    """`jax.jit` of `function`, which computes with `way` or with no network at all; `options` are `jax.jit`'s own.

    seldom: the program runs once or so in a process: a CPU's is compiled sooner, and may run several times slower.

    The same function gives the same program, so this may be called anew for every use.
    """
    settings = dict(compiler_options(way))
    if seldom and jax.default_backend() == "cpu":
        settings |= SOON
    return jax.jit(function, compiler_options=settings or None, **options)
