"""HTML as a tree of elements, which the standard library escapes when it writes it: no text can become markup."""

import base64
import hashlib
import io
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from importlib import resources
from xml.etree.ElementTree import Element

import numpy as np
from jaxtyping import UInt8

Child = Element | str | None | Iterable["Child"]


def element(tag: str, *children: Child, **attributes: object) -> Element:
    """``<tag attributes>children</tag>``.

    children: elements, text, lists of these; None is passed over.
    attributes: ``class_`` is class, ``data_level`` data-level; True stands for an attribute without a value, False and
        None for its absence.
    """
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None and value is not False:
            made.set(name.removesuffix("_").replace("_", "-"), "" if value is True else str(value))
    _append(made, children)
    return made


def _append(parent: Element, children: Iterable[Child]) -> None:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Element):
            parent.append(child)
        elif not isinstance(child, str):
            _append(parent, child)
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + child
        else:
            parent.text = (parent.text or "") + child


def document(title: str, *body: Child) -> bytes:
    """A page that needs nothing but itself, and whose browser refuses it anything else, in UTF-8."""
    style, script = (resources.files(__package__).joinpath(name).read_text() for name in ("style.css", "slider.js"))
    policy = (
        f"default-src 'none'; img-src data:; style-src {_source_hash(style)}; script-src {_source_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", style),
    )
    page = element("html", head, element("body", element("main", *body), element("script", script)), lang="en")
    text = "<!doctype html>\n" + ElementTree.tostring(page, encoding="unicode", method="html") + "\n"
    return text.encode("utf-8", "replace")  # a file name may hold bytes that are no text


def _source_hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def picture(pixels: UInt8[np.ndarray, "height width channels"], alt: str) -> Element:
    """An image of one channel (grey) or three, as PNG inside the page; the style sheet enlarges its pixels."""
    from PIL import Image

    height, width, channels = pixels.shape
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(buffer, "PNG")
    source = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return element("img", src=source, alt=alt, width=width, height=height)


def table(heading: list[str], rows: list[list[Child]], caption: str) -> Element:
    """A table that scrolls by itself where it is wider than the page; the first cell of a row names it."""
    head = element("tr", [element("th", text, scope="col") for text in heading])
    body = [element("tr", element("th", first, scope="row"), [element("td", x) for x in rest]) for first, *rest in rows]
    return element(
        "div",
        element("table", element("caption", caption), element("thead", head), element("tbody", body)),
        class_="scroll",
        tabindex=0,  # so that it scrolls by keyboard too
        role="region",
        aria_label=caption,
    )
