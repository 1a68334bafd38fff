"""What the text of a compiled program says: its computations, and the kernels that a GPU launches for them."""

import re
from collections.abc import Iterable
from math import prod
from typing import NamedTuple

BITS = {"pred": 8, "s4": 4, "u4": 4, "bf16": 16}
BITS |= {f"{kind}{bits}": bits for kind in "suf" for bits in (8, 16, 32, 64)}

# What is named in a program's text but costs no launch.
FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "replica-id"),
    *("opt-barrier", "optimization-barrier", "copy-done", "async-done", "domain"),
}
KINDS = ("convolutions", "products", "fusions", "copies", "other")


class Instruction(NamedTuple):
    """A line of a computation."""

    name: str
    shape: str  # of its result: an array's, or a tuple's in parentheses
    opcode: str
    operands: tuple[str, ...]
    rest: str  # all that follows the operands
    root: bool


class Kernel(NamedTuple):
    """A kernel, or a library's call, of which some launch more than one."""

    name: str
    kind: str  # of `KINDS`
    read: int  # bytes
    written: int  # bytes


def computations_of(text: str) -> tuple[dict[str, list[str]], str]:
    """The instructions of each computation, and the name of the first one to run."""
    computations, name, entry = {}, "", ""
    for line in text.splitlines():
        if line.startswith(("%", "ENTRY ")) and line.endswith("{"):
            name = line.removeprefix("ENTRY ").split()[0].lstrip("%")
            computations[name] = []
            entry = name if line.startswith("ENTRY") else entry
        elif line.startswith(" ") and name:
            computations[name].append(line)
    return computations, entry


def instruction(line: str) -> Instruction:
    """A line of a computation, taken apart."""
    root = line.lstrip().startswith("ROOT ")
    name, _, rest = line.strip().removeprefix("ROOT ").partition(" = ")
    shape, rest = _balanced(rest) if rest.startswith("(") else rest.split(" ", 1)
    opcode, _, rest = rest.strip().partition("(")
    operands, rest = _balanced("(" + rest)
    return Instruction(name.lstrip("%"), shape, opcode, tuple(re.findall(r"%([\w.\-]+)", operands)), rest, root)


def _balanced(text: str) -> tuple[str, str]:
    """`text` up to the parenthesis that closes its first, and what follows."""
    depth = 0
    for end, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return text[: end + 1], text[end + 1 :]
    raise ValueError(f"a parenthesis stays open: {text[:200]}")


def size(shape: str) -> int:
    """Bytes of an array, or of a tuple's arrays together."""
    total = 0
    for kind, lengths in re.findall(r"\b([a-z][a-z0-9]*)\[([\d,]*)\]", re.sub(r"/\*.*?\*/", "", shape)):
        if kind not in BITS:
            raise ValueError(f"an unknown kind of number: {kind} in {shape[:200]}")
        total += prod(map(int, filter(None, lengths.split(",")))) * BITS[kind]
    return total // 8


def kernels(text: str, trips: int) -> list[Kernel]:
    """The kernels of one trip of the loop that runs `trips` times; of a loop inside it, those of all its trips.

    Raises ValueError unless there is one such loop, and where a loop inside it runs an unknown number of times.
    """
    computations, _ = computations_of(text)
    parsed = {name: [instruction(line) for line in lines if " = " in line] for name, lines in computations.items()}
    loops = [i for lines in parsed.values() for i in lines if i.opcode == "while" and _trips(i) == trips]
    if len(loops) != 1:
        raise ValueError(f"{len(loops)} loops in the program run {trips} times, not one")
    return list(_launches(parsed, _called(loops[0], "body")))


def _trips(loop: Instruction) -> int | None:
    known = re.search(r'"known_trip_count":\{"n":"(\d+)"\}', loop.rest)
    return int(known[1]) if known else None


def _called(caller: Instruction, what: str) -> str:
    return re.search(rf"\b{what}=%?([\w.\-]+)", caller.rest)[1]


def _launches(parsed: dict[str, list[Instruction]], computation: str) -> Iterable[Kernel]:
    lines = {line.name: line for line in parsed[computation]}
    for line in lines.values():
        if line.opcode == "while":
            trips = _trips(line)
            if trips is None:
                raise ValueError(f"a loop of unknown length: {line.name}")
            yield from [*_launches(parsed, _called(line, "body"))] * trips
        elif line.opcode in ("call", "async-start"):
            yield from _launches(parsed, _called(line, "to_apply" if line.opcode == "call" else "calls"))
        elif line.opcode not in FREE:
            yield _kernel(parsed, lines, line)


def _kernel(parsed: dict[str, list[Instruction]], lines: dict[str, Instruction], line: Instruction) -> Kernel:
    read, written = sum(size(lines[name].shape) for name in line.operands), size(line.shape)
    if line.opcode == "fusion":
        read, written = _touched(parsed[_called(line, "calls")])
    return Kernel(line.name, _kind(parsed, line), read, written)


def _touched(fused: list[Instruction]) -> tuple[int, int]:
    """Bytes read and written by a fusion: of what it only slices, gathers from or updates, no more than that part."""
    read = 0
    for parameter in fused:
        if parameter.opcode == "parameter":
            users = [user for user in fused if parameter.name in user.operands]
            whole, parts = size(parameter.shape), 0
            for user in users:
                first = user.operands[0] == parameter.name
                if user.opcode in ("dynamic-slice", "gather", "slice") and first:
                    parts += size(user.shape)
                elif user.opcode != "dynamic-update-slice" or not first:
                    parts += whole
            read += min(whole, parts)
    (root,) = (line for line in fused if line.root)
    by_name = {line.name: line for line in fused}
    results = [by_name[name] for name in root.operands] if root.opcode == "tuple" else [root]
    written = sum(
        size(by_name[line.operands[1]].shape) if line.opcode == "dynamic-update-slice" else size(line.shape)
        for line in results
    )
    return read, written


def _kind(parsed: dict[str, list[Instruction]], line: Instruction) -> str:
    if line.opcode == "custom-call":
        target = re.search(r'custom_call_target="([^"]*)"', line.rest)[1]
        return "convolutions" if "conv" in target else "products" if "gemm" in target or "blas" in target else "other"
    if line.opcode == "fusion":
        inside = {part.opcode for part in parsed[_called(line, "calls")]}
        if "convolution" in inside or '"__cudnn$fusion"' in line.rest:
            return "convolutions"
        if "dot" in inside or "__triton_gemm" in line.rest:
            return "products"
        return "copies" if inside <= {*FREE, "copy", "transpose"} else "fusions"
    return "copies" if line.opcode in ("copy", "transpose", "copy-start") else "other"
