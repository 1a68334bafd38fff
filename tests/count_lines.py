"""Count the lines of code of jaxae, by room (a folder or a module of the package) and in all.

    python -m tests.count_lines

Docstrings, comments and blank lines are not counted.
"""

import ast
import io
import tokenize
from collections import Counter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "jaxae"
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code_lines(path: Path) -> int:
    """Count the lines of code in a Python file. Docstrings include those below the fields of a class."""
    source, lines = path.read_text(encoding="utf-8"), set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in LAYOUT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, node.end_lineno + 1))
    return len(lines)


def count(package: Path) -> Counter[str]:
    """Count the lines of code in each room of `package`."""
    rooms: Counter[str] = Counter()
    for path in package.rglob("*.py"):
        rooms[path.relative_to(package).parts[0]] += code_lines(path)
    return rooms


def main() -> None:
    """Print a line per room, and the sum."""
    rooms = count(PACKAGE)
    for room, lines in sorted(rooms.items()):
        print(f"{lines:6,} {room}")
    print(f"{rooms.total():6,} in all")


if __name__ == "__main__":
    main()
