"""A traced JAX program as an ONNX graph.

Every primitive of the program has a rule in `rules` or is refused by name. Tensors have the axes of JAX's values. So a
convolution, for which ONNX wants channels first, comes between two transpositions. Runtimes remove most of them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal
from onnx import GraphProto

from jaxae.jaxpr_to_onnx.graph import Constant, Graph, Value, unsupported
from jaxae.jaxpr_to_onnx.rules import RULES


def convert(function: Callable[..., Any], params: Any, images: jax.ShapeDtypeStruct) -> GraphProto:
    """The graph of ``function(params, images)``, with the input ``images`` and the output ``restored``.

    Args:
        function: Computes one float32 array of four axes.
        params: Arrays, which become the graph's initializers under their paths.
        images: Four axes, of float32. A symbolic size (`jax.export.symbolic_shape`) is a symbol or a multiple of one.

    Raises:
        UserError: The program uses what has no rule here.
    """
    program, graph = jax.make_jaxpr(function)(params, images), Graph(images.shape)
    leaves = jax.tree_util.tree_leaves_with_path(params)
    named = [(jax.tree_util.keystr(path, simple=True, separator="."), np.asarray(leaf)) for path, leaf in leaves]
    constants = [Constant(array, name) for name, array in named]
    [result] = _run(graph, program, [*constants, "images"])
    return graph.finish(graph.tensor(result), images.shape, program.out_avals[0].shape)


def _run(graph: Graph, program: Any, arguments: Sequence[Value]) -> list[Value]:
    """The values of `program`, a jaxpr, for `arguments`."""
    jaxpr, constants = (program.jaxpr, program.consts) if isinstance(program, ClosedJaxpr) else (program, [])
    known = [Constant(np.asarray(constant)) for constant in constants]
    values: dict[Any, Value] = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*known, *arguments], strict=True))

    def read(atom: Any) -> Value:
        aval: Any = atom.aval
        return Constant(np.asarray(atom.val, aval.dtype)) if isinstance(atom, Literal) else values[atom]

    for equation in jaxpr.eqns:
        results = _apply(graph, equation, [read(atom) for atom in equation.invars])
        values.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _apply(graph: Graph, equation: Any, inputs: list[Value]) -> Sequence[Value]:
    """The results of one primitive."""
    name, params = equation.primitive.name, equation.params
    if name in ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "checkpoint", "remat2"):
        return _run(graph, params["jaxpr"] if "jaxpr" in params else params["call_jaxpr"], inputs)
    if name in ("optimization_barrier", "copy", "stop_gradient", "name"):
        return inputs
    constants = [value for value in inputs if isinstance(value, Constant)]
    concrete = all(isinstance(size, int) for variable in equation.outvars for size in variable.aval.shape)
    if len(constants) == len(inputs) and concrete and name != "dim_as_value":
        results = equation.primitive.bind(*(value.array for value in constants), **params)
        names = {value.name for value in constants if value.name}
        results = results if equation.primitive.multiple_results else [results]
        return [Constant(np.asarray(result), names.pop() if len(names) == 1 else "") for result in results]
    if name not in RULES:
        raise unsupported(repr(name))
    return [RULES[name](graph, equation, *inputs)]
