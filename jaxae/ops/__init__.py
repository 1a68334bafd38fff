"""Convolution backends, the choice among them, and the one place that compiles programs.

A network calls ``enter`` once on its input and ``leave`` once on its output, and stays in the backend's layout between.
Kernels are ``[height, width, in, out]`` for every backend, so parameters do not depend on it.

Programs are compiled by `jit`, which passes the compiler options that a backend needs to be fast; ruff bans `jax.jit`
elsewhere, since a network would silently run slower under it.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.stages import Wrapped

from jaxae.ops import lanes, microbatch, random, unfold, xla
from jaxae.ops.backend import Backend
from jaxae.registry import Registry

__all__ = ["BACKENDS", "REFERENCE", "Backend", "compiler_options", "jit", "microbatch", "random", "resolve_backend"]

BACKENDS: Registry[Backend] = Registry("convolution backend")
BACKENDS["xla"], BACKENDS["lanes"], BACKENDS["unfold"] = xla.BACKEND, lanes.BACKEND, unfold.BACKEND
# "xla_in_parts" differs from "xla" only in its microbatches (see `jaxae.networks`): XLA's TPU compiler takes minutes
# over a convolution with few channels and a large batch.
BACKENDS["xla_in_parts"] = xla.BACKEND

# It compiles fastest, and the others are compared with it.
REFERENCE = "xla"

# What "auto" stands for, by `benchmarks/README.md`; REFERENCE on platforms not listed: no GPU was measured.
AUTO = {"cpu": "lanes", "tpu": "xla_in_parts"}

# The same for an ensemble under `jax.vmap` over its weights, which turns convolutions into grouped ones. TPUs compile
# those well and GPUs do not, while products stay products. (Not measured on a GPU.)
AUTO_ENSEMBLE = AUTO | {"gpu": "unfold"}

# LLVM's third level unrolls the rounds of JAX's random generator, which are most of a program that draws parameters:
# the first level compiles it three times as fast.
COMPILE_SOON = {"xla_backend_optimization_level": 1}


def resolve_backend(name: str, platform: str | None = None, ensemble: bool = False) -> str:
    """Return the name of the backend that `name` stands for.

    Args:
        name: a name in `BACKENDS`, or "auto" for the best on `platform`.
        platform: "cpu", "gpu" or "tpu"; by default JAX's own.
        ensemble: whether the network is batched over its weights.

    Raises:
        UserError: if there is no such backend.
    """
    if name == "auto":
        return (AUTO_ENSEMBLE if ensemble else AUTO).get(platform or jax.default_backend(), REFERENCE)
    _ = BACKENDS[name]  # refuses an unknown name
    return name


def compiler_options(name: str) -> Mapping[str, str]:
    """Return the compiler options that make the backend `name` fast on this platform; they never change results."""
    return BACKENDS[resolve_backend(name)].compiler_options if jax.default_backend() == "cpu" else {}


@functools.lru_cache(maxsize=256)
def jit(function: Callable[..., Any], backend: str = REFERENCE, compile_soon: bool = False, **options: Any) -> Wrapped:
    """Wrap `function` in `jax.jit`; the same arguments return the same wrapper, and so the same compiled programs.

    Args:
        function: a pure function.
        backend: the backend of the network that `function` applies; the default also serves functions without one.
        compile_soon: for a program that runs once or so: on a CPU it compiles sooner and may run several times slower.
        **options: passed to `jax.jit`.
    """
    settings = dict(compiler_options(backend))
    if compile_soon and jax.default_backend() == "cpu":
        settings |= COMPILE_SOON
    return jax.jit(function, compiler_options=settings or None, **options)
