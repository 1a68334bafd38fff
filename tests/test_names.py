"""Public functions and classes of jaxae have names of their own: each name means one thing in the whole package."""

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "jaxae"
# Names that several modules share because they implement one protocol.
PROTOCOLS = {
    "main": "a command: what `python -m MODULE` runs",
    "Arguments": "the options of a command",
    "conv": "the convolution of a backend in `ops`",
    "conv_transpose": "the transposed convolution of a backend in `ops`",
    "generate": "the images of a data set that a program makes",
    "description": "what the images of such a data set are",
}


def public_names() -> dict[str, list[str]]:
    """The modules that define each public top-level function or class."""
    modules = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].append(path.relative_to(PACKAGE).as_posix())
    return modules


def submodules() -> set[str]:
    """The last parts of the names of jaxae's modules and packages."""
    return {path.stem if path.name != "__init__.py" else path.parent.name for path in PACKAGE.rglob("*.py")}


def listed(names: dict[str, list[str]]) -> str:
    """One line for each name: the modules that define it."""
    return "\n".join(f"{name}: {', '.join(modules)}" for name, modules in sorted(names.items()))


def test_no_public_name_is_also_the_name_of_a_module():
    names = public_names()
    assert len(names) > 100
    shared = {name: names[name] for name in names.keys() & submodules()}
    assert not shared, listed(shared)


def test_no_two_modules_define_the_same_public_name():
    twice = {name: modules for name, modules in public_names().items() if len(modules) > 1}
    shared = {name: modules for name, modules in twice.items() if name not in PROTOCOLS}
    assert not shared, listed(shared)
