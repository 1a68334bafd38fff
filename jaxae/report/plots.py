"""Line plots: Matplotlib draws them as SVG, which becomes part of the page and takes the page's colours."""

import io
import math
import re
import xml.etree.ElementTree as ElementTree
from typing import NamedTuple
from xml.etree.ElementTree import Element

from jaxae.report.markup import element
from jaxae.run.figures import GRID, MUTED

COLOURS = 8  # of series, --c0 to --c7 in the style sheet
WIDTH, HEIGHT = 400, 230  # points
STEPS = (1, 2, 5, 10)  # between ticks, times a power of ten
LINK = "{http://www.w3.org/1999/xlink}href"


class Series(NamedTuple):
    """A line of a plot."""

    label: str
    points: list[tuple[float, float]]
    colour: int


def line_plot(title: str, series: list[Series], x_label: str, log: bool = False) -> Element:
    """A figure of `series` with title and legend; `log` takes a logarithmic scale.

    A line is broken where a value is not finite or, on a logarithmic scale, not positive.
    """
    least = 0.0 if log else -math.inf
    series = [
        line._replace(points=[(float(x), float(y) if least < y < math.inf else math.nan) for x, y in line.points])
        for line in series
    ]
    drawing = _part_of_page(ElementTree.fromstring(_draw(title, series, x_label, log)))
    for number, line in enumerate(series):
        dots = drawing.iterfind(f".//g[@id='series-{number}']//use")
        for dot, (x, y) in zip(dots, _drawn(line), strict=True):
            dot.append(element("title", f"{line.label}, {x:g}: {y:.4g}"))
    for group in drawing.iter("g"):
        group.attrib.pop("id", None)  # every plot has the same
    drawing.set("role", "img")
    drawing.set("aria-label", f"{title}: {'; '.join(map(_said, series))}")
    legend = [element("li", swatch(line.colour), line.label) for line in series]
    return element(
        "figure", element("figcaption", title), element("ul", legend, class_="legend"), drawing, class_="plot"
    )


def swatch(colour: int) -> Element:
    """The mark of a series in a legend."""
    return element("span", class_=f"swatch colour-{colour % COLOURS}", aria_hidden="true")


def _drawn(line: Series) -> list[tuple[float, float]]:
    return [(x, y) for x, y in line.points if not math.isnan(y)]


def _said(line: Series) -> str:
    if not (drawn := _drawn(line)):
        return f"{line.label} has no values"
    return f"{line.label} from {drawn[0][1]:.4g} to {drawn[-1][1]:.4g}"


def _draw(title: str, series: list[Series], x_label: str, log: bool) -> str:
    """The SVG file that Matplotlib writes; the points of each line are in the group "series-" and its number."""
    import matplotlib.style
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

    # text stays text, and the markers of different plots get different ids
    settings = {"svg.fonttype": "none", "svg.hashsalt": title, "font.size": 13, "lines.markeredgewidth": 0}
    settings |= {f"axes.spines.{side}": False for side in ("left", "right", "top", "bottom")}
    with matplotlib.style.context(["default", settings]):  # whatever style the user prefers
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))
        axes = figure.add_axes([0.17, 0.2, 0.81, 0.77])  # room for numbers such as "-0.0003" and "2.5e-05"
        figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        for number, line in enumerate(series):
            xs, ys = [x for x, _ in line.points], [y for _, y in line.points]
            look = {"linewidth": 2, "markersize": 6 if len(xs) <= 40 else 4, "clip_on": False}
            axes.plot(xs, ys, f"C{line.colour % COLOURS}o-", gid=f"series-{number}", **look)
        whole = all(x.is_integer() for line in series for x, _ in line.points)
        axes.xaxis.set_major_locator(MaxNLocator("auto", steps=STEPS, integer=whole, min_n_ticks=1))
        axes.set_yscale("log" if log else "linear")
        low, high = axes.get_ylim()
        if log and high > 10 * low:
            axes.yaxis.set_major_locator(LogLocator(subs=STEPS[:-1] if high < 100 * low else (1,)))
        else:
            axes.yaxis.set_major_locator(MaxNLocator("auto", steps=STEPS))
        axes.yaxis.set_minor_locator(NullLocator())
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_tick_params(length=0, labelcolor=MUTED)
        axes.grid(axis="y", color=GRID, linewidth=1, clip_on=False)
        axes.set_xlabel(x_label, color=MUTED)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return written.getvalue()


def _part_of_page(drawing: Element) -> Element:
    """An SVG file's tree as HTML takes it, its styles as attributes: the page's policy refuses styles within it."""
    import matplotlib.colors

    variables = {colour: f"var(--c{number})" for number, colour in enumerate(matplotlib.colors.TABLEAU_COLORS.values())}
    variables |= {MUTED: "var(--muted)", GRID: "var(--line)"}
    for part in drawing.iter():
        part.tag = part.tag.rpartition("}")[2]  # HTML knows no namespaces
        part.text, part.tail = (part.text or "").strip(), None
        for name, value in part.attrib.items():
            if name in ("d", "x", "y", "transform"):
                short = re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.4g}", value)
                part.set(name, " ".join(short.split()))
        for name, value in re.findall(r"([\w-]+): ([^;]+)", part.attrib.pop("style", "")):
            if not name.startswith("font"):
                part.set(name, variables.get(value, value))
        if LINK in part.attrib:
            part.set("href", part.attrib.pop(LINK))
    drawing.remove(drawing.find("defs"))  # a style sheet for all of the page
    drawing.attrib = {"viewBox": drawing.get("viewBox"), "stroke-linejoin": "round"}
    return drawing
