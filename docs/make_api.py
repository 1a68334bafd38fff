"""Write docs/api.md, the reference of everything public in jaxae, from the signatures and docstrings of its source.

python docs/make_api.py
"""

import ast
import inspect
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "api.md"
HEADING = """# Reference

Made from the source by `python docs/make_api.py`: change the docstrings there. What a command takes, its `--help` says.
"""


def reference() -> str:
    """The whole page, Markdown."""
    sections = [section(path) for path in sorted((ROOT / "jaxae").rglob("*.py"))]
    return "\n".join([HEADING, *(text for text in sections if text)])


def section(path: Path) -> str:
    """What `path` offers beside its command line; nothing for a module without a docstring."""
    source = path.read_text()
    tree = ast.parse(source)
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    said = ast.get_docstring(tree)
    if said is None or path.name == "__main__.py":
        return ""
    lines = [f"## `{name}`", "", said, ""]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and public(node):
            lines += entry(source, node, "###", "")
    return "\n".join(lines)


def public(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether it is for callers from Python."""
    return not node.name.startswith("_") and node.name not in ("main", "Arguments") and bool(ast.get_docstring(node))


def entry(source: str, node: ast.FunctionDef | ast.ClassDef, level: str, owner: str) -> list[str]:
    """A function, or a class with its fields and methods."""
    title = f"{owner}{node.name}"
    lines = [f"{level} `{title}`", "", "```text", header(source, node), "```", "", ast.get_docstring(node), ""]
    if isinstance(node, ast.ClassDef):
        for child in node.body:
            if isinstance(child, ast.FunctionDef) and public(child):
                lines += entry(source, child, "####", f"{title}.")
    return lines


def header(source: str, node: ast.FunctionDef | ast.ClassDef) -> str:
    """What stands before its docstring, and the fields of a class."""
    above = source.splitlines()[node.lineno - 1 : node.body[0].lineno - 1]
    fields = (
        [child for child in node.body if isinstance(child, ast.AnnAssign)] if isinstance(node, ast.ClassDef) else []
    )
    text = inspect.cleandoc("\n".join(above)).removesuffix(":")
    return "\n".join([text, *(f"    {ast.get_source_segment(source, field)}" for field in fields)])


if __name__ == "__main__":
    TARGET.write_text(reference())
