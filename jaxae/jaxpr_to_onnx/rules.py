"""How each primitive of JAX is written in ONNX."""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import helper

from jaxae.jaxpr_to_onnx.graph import Constant, Graph, Value, unsupported

FIRST, LAST = np.iinfo(np.int64).min, np.iinfo(np.int64).max  # open ends of a slice

# the ONNX operators of functions of each element, the last one first
_OPERATORS = {
    "add": ["Add"], "sub": ["Sub"], "mul": ["Mul"], "div": ["Div"], "max": ["Max"], "min": ["Min"], "neg": ["Neg"],
    "abs": ["Abs"], "sign": ["Sign"], "exp": ["Exp"], "log": ["Log"], "tanh": ["Tanh"], "logistic": ["Sigmoid"],
    "sqrt": ["Sqrt"], "rsqrt": ["Reciprocal", "Sqrt"], "erf": ["Erf"], "pow": ["Pow"], "eq": ["Equal"],
    "ne": ["Not", "Equal"], "gt": ["Greater"], "lt": ["Less"], "ge": ["GreaterOrEqual"], "le": ["LessOrEqual"],
}  # fmt: skip


def _elementwise(graph: Graph, equation: Any, *inputs: Value) -> Value:
    kinds, names, last = _OPERATORS[equation.primitive.name], [graph.tensor(value) for value in inputs], inputs[-1]
    if kinds == ["Max"] and isinstance(last, Constant) and not last.array.any():
        kinds, names = ["Relu"], names[:1]  # which runtimes compute with the convolution before it
    for kind in reversed(kinds):
        names = [graph.node(kind, *names)]
    return names[0]


def _select(graph: Graph, equation: Any, which: Value, *cases: Value) -> Value:
    if len(cases) != 2 or equation.invars[0].aval.dtype != bool:
        raise unsupported("'select_n' of other than two cases")
    return graph.node("Where", *map(graph.tensor, (which, *cases[::-1])))


def _convolution(graph: Graph, equation: Any, x: Value, kernel: Value) -> Value:
    p, spec = equation.params, equation.params["dimension_numbers"]
    if not isinstance(kernel, Constant):
        raise unsupported("a convolution with a computed kernel")
    if max(p["batch_group_count"], p["feature_group_count"], *p["rhs_dilation"]) > 1:
        raise unsupported("a convolution with groups or a dilated kernel")
    weight, strides = kernel.array.transpose(spec.rhs_spec), p["window_strides"]
    kind, attributes = "Conv", {"kernel_shape": weight.shape[2:]}
    low, high = zip(*p["padding"], strict=True)
    if max(p["lhs_dilation"]) > 1:
        if max(strides) > 1:
            raise unsupported("a transposed convolution with strides")
        kind, strides = "ConvTranspose", p["lhs_dilation"]
        weight = np.flip(weight, tuple(range(2, weight.ndim))).swapaxes(0, 1)
        # ONNX's padding is what is cut off of the widest output, and its output padding what is cut off less at the end
        reach = np.array(weight.shape[2:]) - 1
        low, high = reach - low, reach - high
        extra = np.where(low - high < strides, np.maximum(low - high, 0), 0)
        low, high, attributes["output_padding"] = low.tolist(), (high + extra).tolist(), extra.tolist()
    if min(*low, *high) < 0:
        raise unsupported("a convolution with negative padding")
    inputs = graph.transpose(graph.tensor(x), spec.lhs_spec), graph.constant(weight, kernel.name)
    output = graph.node(kind, *inputs, strides=strides, pads=[*low, *high], **attributes)
    return graph.transpose(output, np.argsort(spec.out_spec).tolist())


def _concatenate(graph: Graph, equation: Any, *inputs: Value) -> Value:
    return graph.node("Concat", *map(graph.tensor, inputs), axis=equation.params["dimension"])


def _slice(graph: Graph, equation: Any, x: Value) -> Value:
    p = equation.params
    starts = p["start_indices"]
    return _window(graph, equation, x, starts, p["limit_indices"], p["strides"] or [1] * len(starts))


def _gather(graph: Graph, equation: Any, x: Value, indices: Value) -> Value:
    """What JAX makes of ``x[:, 4:-4]`` where sizes are symbolic."""
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    is_slice = numbers.offset_dims == tuple(range(len(sizes))) and not numbers.collapsed_slice_dims
    if not is_slice or not isinstance(indices, Constant) or indices.array.ndim != 1 or isinstance(x, Constant):
        raise unsupported("'gather' other than as a slice")
    given = dict(zip(numbers.start_index_map, indices.array.tolist(), strict=True))
    starts = [given.get(axis, 0) for axis in range(len(sizes))]
    limits = [start + size for start, size in zip(starts, sizes, strict=True)]
    return _window(graph, equation, x, starts, limits, [1] * len(sizes))


def _window(graph: Graph, equation: Any, x: Value, starts: Any, limits: Any, strides: Any) -> Value:
    def index(place: Any, size: Any) -> Any:
        distance = place - size  # an index from the end, as in Python, is known even if the size is not
        return (distance or LAST) if not isinstance(place, int) and isinstance(distance, int) else place

    cut = []
    for axis, (size, *window) in enumerate(zip(equation.invars[0].aval.shape, starts, limits, strides, strict=True)):
        if window != [0, size, 1]:
            cut.append((index(window[0], size), index(window[1], size), axis, window[2]))
    return _cut(graph, x, cut)


def _cut(graph: Graph, x: Value, cut: list[tuple[Any, ...]]) -> Value:
    """`x` from a start to a limit, along an axis, in steps."""
    return graph.node("Slice", graph.tensor(x), *map(graph.vector, zip(*cut, strict=True))) if cut else x


def _rev(graph: Graph, equation: Any, x: Value) -> Value:
    return _cut(graph, x, [(-1, FIRST, axis, -1) for axis in equation.params["dimensions"]])


def _reshape(graph: Graph, equation: Any, x: Value) -> Value:
    old, new = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    sizes = [0 if axis < len(old) and size == old[axis] else size for axis, size in enumerate(new)]  # 0: as before
    symbolic = [axis for axis, size in enumerate(sizes) if not isinstance(size, int)]
    if len(symbolic) == 1:
        sizes[symbolic[0]] = -1
    return graph.node("Reshape", graph.tensor(x), graph.vector(sizes))


def _broadcast(graph: Graph, equation: Any, x: Value) -> Value:
    old, new = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    kept = dict(zip(equation.params["broadcast_dimensions"], old, strict=True))
    added = [axis for axis in range(len(new)) if axis not in kept]
    grown = [1 if kept.get(axis, 1) == size else size for axis, size in enumerate(new)]
    name = graph.tensor(x)
    name = graph.node("Unsqueeze", name, graph.vector(added)) if added else name
    return graph.node("Expand", name, graph.vector(grown)) if grown != [1] * len(new) else name


def _sum(graph: Graph, equation: Any, x: Value) -> Value:
    return graph.node("ReduceSum", graph.tensor(x), graph.vector(equation.params["axes"]), keepdims=0)


def _transpose(graph: Graph, equation: Any, x: Value) -> Value:
    return graph.transpose(graph.tensor(x), equation.params["permutation"])


def _cast(graph: Graph, equation: Any, x: Value) -> Value:
    return graph.node("Cast", graph.tensor(x), to=_tensor_type(equation))


def _integer_pow(graph: Graph, equation: Any, x: Value) -> Value:
    exponent = np.array(equation.params["y"], equation.outvars[0].aval.dtype)
    return graph.node("Pow", graph.tensor(x), graph.constant(exponent))


def _square(graph: Graph, equation: Any, x: Value) -> Value:
    del equation
    return graph.node("Mul", graph.tensor(x), graph.tensor(x))


def _dimension(graph: Graph, equation: Any) -> Value:
    size = graph.node("Squeeze", graph.vector([equation.params["dim"]]))
    return graph.node("Cast", size, to=_tensor_type(equation))


def _tensor_type(equation: Any) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(equation.outvars[0].aval.dtype))


RULES: dict[str, Callable[..., Value]] = dict.fromkeys(_OPERATORS, _elementwise) | {
    "conv_general_dilated": _convolution, "concatenate": _concatenate, "slice": _slice, "gather": _gather, "rev": _rev,
    "reshape": _reshape, "squeeze": _reshape, "broadcast_in_dim": _broadcast, "reduce_sum": _sum,
    "transpose": _transpose, "convert_element_type": _cast, "integer_pow": _integer_pow, "select_n": _select,
    "dim_as_value": _dimension, "square": _square,
}  # fmt: skip
