"""How mkdocstrings reads the docstrings of jaxae: lines such as ``batch_size: images in a step`` become a list.

A field of a class is explained by the comment behind it where it has no docstring.
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


class Fields(griffe.Extension):
    """What is found is turned into Markdown, after a module has been read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Make the list of each docstring, and docstrings of comments."""
        if obj.docstring is not None:
            obj.docstring.value = with_list(obj.docstring.value)
        elif obj.is_attribute and obj.parent is not None and obj.parent.is_class and obj.lineno is not None:
            line = obj.filepath.read_text().splitlines()[obj.lineno - 1]
            if found := COMMENT.fullmatch(line):
                obj.docstring = griffe.Docstring(found["text"], parent=obj)
