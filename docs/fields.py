"""How mkdocstrings reads jaxae: lines of a docstring such as ``batch_size: images in a step`` become a list.

The fields of a class are listed below its docstring, each with its type and the comment or docstring that explains it.
"""

import re
from typing import Any

import griffe

FIELD = re.compile(r"(?P<names>\w+(?:, \w+)*): (?P<text>.*)")
COMMENT = re.compile(r"[^#\"']*#\s+(?P<text>.*)")


def with_list(text: str) -> str:
    """`text` with each paragraph of such lines as a Markdown list; lines that go on are indented already."""
    return "\n\n".join(_listed(paragraph) for paragraph in re.split(r"\n\s*\n", text))


def _listed(paragraph: str) -> str:
    lines = paragraph.splitlines()
    if not FIELD.fullmatch(lines[0]) or not all(line.startswith("    ") or FIELD.fullmatch(line) for line in lines):
        return paragraph
    items = []
    for line in lines:
        found = FIELD.fullmatch(line)
        if found is None:
            items[-1] += " " + line.strip()
        else:
            names = ", ".join(f"`{name}`" for name in found["names"].split(", "))
            items.append(f"- {names}: {found['text']}")
    return "\n".join(items)


def _explained(field: griffe.Attribute) -> str:
    if field.docstring is not None:
        return " ".join(field.docstring.value.split())
    line = field.filepath.read_text().splitlines()[field.lineno - 1]
    found = COMMENT.fullmatch(line)
    return found["text"] if found else ""


class Fields(griffe.Extension):
    """Turns what has been read into Markdown."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Make lists of the fields in a docstring, and of those of a class."""
        if obj.docstring is None:
            return
        items = []
        for field in obj.attributes.values() if obj.is_class else ():
            described = re.search(rf"^(\w+, )*{field.name}(, \w+)*: ", obj.docstring.value, flags=re.MULTILINE)
            if field.annotation is None or "property" in field.labels or described or field.name.startswith("_"):
                continue
            text = _explained(field)
            items.append(f"- `{field.name}` (`{field.annotation}`)" + (f": {text}" if text else ""))
            field.docstring = None  # it is shown here, not under a heading of its own
        obj.docstring.value = "\n".join([with_list(obj.docstring.value), "", *items])
