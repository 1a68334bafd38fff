"""An ONNX graph in the making."""

import ast
from collections.abc import Sequence
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from onnx import GraphProto, TensorProto, helper, numpy_helper

from jaxae.errors import UserError


class Constant(NamedTuple):
    """A value known now, and the parameter that it was made from, if any."""

    array: np.ndarray
    name: str = ""


Value = str | Constant  # a value that is computed from the input is the name of its tensor


def unsupported(what: str) -> UserError:
    """The error for a program that uses `what`."""
    return UserError(f"the network uses {what}, which cannot be exported to ONNX yet; export to .jax instead")


class Graph:
    """The nodes and arrays so far.

    Args:
        input_shape: That of ``images``; a symbolic size is a symbol or a multiple of one.
    """

    def __init__(self, input_shape: Sequence[Any]):
        self.nodes: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {}  # by output: kind, inputs, attributes
        self.outputs: dict[str, str] = {}  # by the nodes' text
        self.arrays: dict[str, np.ndarray] = {}
        self.numbers = count()
        self.sizes: dict[str, tuple[int, int]] = {}  # symbols: the axis of the input with this size, and its multiple
        for axis, size in enumerate(input_shape):
            if not isinstance(size, int):
                factor, _, symbol = str(size).rpartition("*")
                self.sizes[symbol] = axis, int(factor or 1)

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output, unless there is one like it; returns the output's name."""
        text = repr((kind, inputs, attributes))
        if text not in self.outputs:
            self.outputs[text] = output = f"{kind.lower()}_{next(self.numbers)}"
            self.nodes[output] = kind, inputs, attributes
        return self.outputs[text]

    def constant(self, value: ArrayLike, name: str = "") -> str:
        """Add an initializer, unless there is one like it; returns its name."""
        array = np.array(value, order="C")
        name = name or f"{array.dtype}_{'_'.join(map(str, array.ravel()[:6]))}"
        while name in self.arrays and not np.array_equal(self.arrays[name], array):
            name += "_"
        self.arrays[name] = array
        return name

    def tensor(self, value: Value) -> str:
        """The name of the tensor that is `value`."""
        return value if isinstance(value, str) else self.constant(value.array, value.name)

    def transpose(self, name: str, order: Sequence[int]) -> str:
        """The tensor `name` with the axes `order`."""
        return self.node("Transpose", name, perm=list(order))

    def vector(self, sizes: Sequence[Any]) -> str:
        """An int64 vector of `sizes`, some of them symbolic."""
        if all(isinstance(size, int) for size in sizes):
            return self.constant(np.array(sizes, np.int64))
        return self.node("Concat", *(self.size(ast.parse(str(size), mode="eval").body) for size in sizes), axis=0)

    def size(self, expression: ast.expr) -> str:
        """A vector of one symbolic size, whose text JAX writes as Python does, but for the power."""
        operators: dict[type[ast.operator], str] = {ast.Add: "Add", ast.Sub: "Sub", ast.Mult: "Mul", ast.BitXor: "Pow"}
        match expression:
            case ast.Constant(value=int(number)):
                return self.vector([number])
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.node("Neg", self.size(operand))
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in operators:
                return self.node(operators[type(operator)], self.size(left), self.size(right))
            case ast.Call(func=ast.Name(id="floordiv"), args=arguments):
                return self.node("Div", *map(self.size, arguments))
            case ast.Name(id=symbol) if symbol in self.sizes:
                axis, factor = self.sizes[symbol]
                size = self.node("Shape", "images", start=axis, end=axis + 1)
                return size if factor == 1 else self.node("Div", size, self.vector([factor]))
        raise unsupported(f"images of the size {ast.unparse(expression)}")

    def finish(self, result: str, *shapes: Sequence[Any]) -> GraphProto:
        """The graph of all that the tensor `result` needs; `shapes` are those of the input and of the output."""
        used, nodes = {result}, [helper.make_node("Identity", [result], ["restored"], name="restored")]
        for output, (kind, inputs, attributes) in reversed(self.nodes.items()):
            if output in used:
                nodes.insert(0, helper.make_node(kind, inputs, [output], name=output, **attributes))
                used.update(inputs)
        axes = "batch", "height", "width", "channels"
        sizes = [[size if isinstance(size, int) else axes[n] for n, size in enumerate(shape)] for shape in shapes]
        images, restored = map(helper.make_tensor_value_info, ("images", "restored"), [TensorProto.FLOAT] * 2, sizes)
        arrays = [numpy_helper.from_array(array, name) for name, array in self.arrays.items() if name in used]
        return helper.make_graph(nodes, "jaxae", [images], [restored], arrays)
