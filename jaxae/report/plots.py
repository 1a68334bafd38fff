"""Line plots: Matplotlib draws them as SVG, which becomes part of the page and takes the page's colours."""

import io
import math
import re
import xml.etree.ElementTree as ElementTree
from typing import NamedTuple

from markupsafe import Markup

COLOURS = 8  # of series: --c0 to --c7 in the style sheet
WIDTH, HEIGHT = 400, 230  # points
STEPS = (1, 2, 5, 10)  # between ticks, times a power of ten
MUTED, GRID = "#010101", "#020202"  # Matplotlib takes no variables, so these stand for the style sheet's colours
VARIABLES = {MUTED: "--muted", GRID: "--line"} | {f"#03030{number}": f"--c{number}" for number in range(COLOURS)}


class Series(NamedTuple):
    """A line of a plot; values that cannot be drawn leave a gap."""

    label: str
    points: list[tuple[float, float]]
    colour: int


class Plot(NamedTuple):
    """A drawn plot."""

    title: str
    series: list[Series]
    svg: Markup


def line_plot(title: str, series: list[Series], x_label: str, log: bool = False) -> Plot:
    """Plot `series`, with a logarithmic y-axis if `log`.

    A line has a gap where a value is not finite or, on a logarithmic axis, not positive.
    """
    lowest = 0.0 if log else -math.inf
    series = [
        line._replace(points=[(float(x), float(y) if lowest < y < math.inf else math.nan) for x, y in line.points])
        for line in series
    ]
    drawing, spoken = ElementTree.fromstring(_draw(title, series, x_label, log)), []
    for number, line in enumerate(series):
        drawn = [(x, y) for x, y in line.points if not math.isnan(y)]
        spoken.append(f"{line.label} from {drawn[0][1]:.4g} to {drawn[-1][1]:.4g}" if drawn else f"{line.label}: none")
        dots = drawing.iterfind(f".//g[@id='series-{number}']//use")
        for dot, (x, y) in zip(dots, drawn, strict=True):  # what the pointer over a dot shows
            ElementTree.SubElement(dot, "title").text = f"{line.label}, {x:g}: {y:.4g}"
    for group in drawing.iter("g"):
        group.attrib.pop("id", None)  # Matplotlib gives every plot the same
    label = f"{title}: {'; '.join(spoken)}"
    drawing.attrib = {"viewBox": drawing.attrib["viewBox"], "role": "img", "aria-label": label}
    return Plot(title, series, Markup(ElementTree.tostring(drawing, encoding="unicode", method="html")))


def _draw(title: str, series: list[Series], x_label: str, log: bool) -> str:
    """An SVG of `series` without styles; the points of each line are in the group "series-" and its number."""
    import matplotlib.style
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

    # text stays text, and the markers of different plots get different ids
    settings = {"svg.fonttype": "none", "svg.hashsalt": title, "font.size": 13, "lines.markeredgewidth": 0}
    settings |= {f"axes.spines.{side}": False for side in ("left", "right", "top", "bottom")}
    with matplotlib.style.context(["default", settings]):  # whatever style the user prefers
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))
        axes = figure.add_axes((0.17, 0.2, 0.81, 0.77))  # room for numbers such as "-0.0003" and "2.5e-05"
        figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        for number, line in enumerate(series):
            xs, ys = [x for x, _ in line.points], [y for _, y in line.points]
            size = 6 if len(xs) <= 40 else 4
            look = {"color": f"#03030{line.colour % COLOURS}", "linewidth": 2, "markersize": size, "clip_on": False}
            axes.plot(xs, ys, "o-", gid=f"series-{number}", **look)
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
    return _without_styles(written.getvalue())


def _without_styles(svg: str) -> str:
    """The SVG with attributes for styles, which the page's policy refuses, and without namespaces, as HTML takes it."""
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(r"<style.*?</style>| xmlns(:\w+)?=\"[^\"]*\"|font[\w-]*: [^;\"]*;? ?", "", svg, flags=re.DOTALL)
    svg = re.sub(r'style="([^"]*)"', lambda style: re.sub(r"([\w-]+): ([^;]+);?", r'\1="\2"', style[1]), svg)
    return svg.replace("xlink:href", "href")
