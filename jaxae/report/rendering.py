"""HTML pages from the Jinja templates in `templates/`, which escape all text they are given."""

import base64
import functools
import hashlib
import io
from importlib import resources

import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render(template: str, **context: object) -> bytes:
    """Return the page that `template` makes of `context`, in UTF-8."""
    text = _environment().get_template(template).render(context)
    return text.encode("utf-8", "replace")  # file names may hold bytes that no encoding explains


@functools.cache
def _environment() -> Environment:
    options = {"autoescape": True, "undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    environment = Environment(loader=PackageLoader("jaxae.report"), **options)
    environment.filters |= {"commas": "{:,.0f}".format, "data_url": _data_url}
    for name, file in (("style", "style.css"), ("script", "slider.js")):
        source = resources.files("jaxae.report").joinpath("templates", file).read_text("utf-8")
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        environment.globals.update({name: Markup(source), f"{name}_hash": f"sha256-{digest}"})
    return environment


def _data_url(pixels: UInt8[np.ndarray, "height width channels"]) -> str:
    """A PNG of an image of one or three channels, as a URL that holds it."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
