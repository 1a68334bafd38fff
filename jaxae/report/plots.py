"""Line plots as inline SVG, coloured by the page's style sheet."""

import math
from typing import NamedTuple
from xml.etree.ElementTree import Element

from jaxae.report.markup import element

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 10, 40
COLOURS = 8  # classes colour-0 to colour-7 of the style sheet


class Series(NamedTuple):
    """A line of a plot."""

    label: str
    points: list[tuple[float, float]]
    colour: int


def line_plot(title: str, series: list[Series], x_label: str, log: bool = False) -> Element:
    """A figure of `series` with title and legend; `log` takes a logarithmic scale for positive values."""
    series = [
        line._replace(points=[(float(x), float(y)) for x, y in line.points if math.isfinite(y)]) for line in series
    ]
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in line.points]
    x_ticks = ticks(min(xs), max(xs), least_step=1.0 if all(x.is_integer() for x in xs) else 0.0)
    y_ticks = (log_ticks if log else ticks)(min(ys), max(ys))
    x_low, x_high = min(xs), max(max(xs), min(xs) + 1e-9)
    scale = math.log if log else float
    y_low, y_high = scale(y_ticks[0]), scale(y_ticks[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) if x_high - x_low > 1e-6 else 0.5
        up = (scale(y) - y_low) / (y_high - y_low)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    parts = []
    for value in y_ticks:
        _, y = place(x_low, value)
        parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid"))
        parts.append(element("text", f"{value:g}", x=LEFT - 8, y=f"{y + 4:.1f}", text_anchor="end"))
    for value in x_ticks:
        if x_low <= value <= x_high:
            x, _ = place(value, y_ticks[0])
            parts.append(element("text", f"{value:g}", x=f"{x:.1f}", y=HEIGHT - BOTTOM + 18, text_anchor="middle"))
    parts.append(element("text", x_label, x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 4, text_anchor="middle"))
    for line in series:
        parts.append(_line(line, [place(x, y) for x, y in line.points]))

    said = "; ".join(f"{line.label} from {line.points[0][1]:.4g} to {line.points[-1][1]:.4g}" for line in series)
    drawing = element("svg", parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=f"{title}: {said}")
    legend = [element("li", swatch(line.colour), line.label) for line in series]
    return element(
        "figure",
        element("figcaption", title),
        element("ul", legend, class_="legend"),
        drawing,
        class_="plot",
    )


def swatch(colour: int) -> Element:
    """The mark of a series in a legend."""
    return element("span", class_=f"swatch colour-{colour % COLOURS}", aria_hidden="true")


def _line(line: Series, places: list[tuple[float, float]]) -> Element:
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dots = [
        element("circle", element("title", f"{line.label}, {x:g}: {y:.4g}"), cx=f"{at[0]:.1f}", cy=f"{at[1]:.1f}", r=3)
        for (x, y), at in zip(line.points, places, strict=True)
    ]
    return element("g", element("path", d=path), dots, class_=f"series colour-{line.colour % COLOURS}")


def ticks(low: float, high: float, count: int = 5, least_step: float = 0.0) -> list[float]:
    """About `count` round numbers, `least_step` or more apart, the first at most `low`, the last at least `high`."""
    span = high - low or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(span / count))
    step = max(least_step, step * next(factor for factor in (1, 2, 5, 10) if span / (factor * step) <= count))
    first = math.floor(low / step)
    last = max(math.ceil(high / step), first + 1)
    return [round(number * step, 12) for number in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Numbers 1, 2 or 5 times a power of ten, the first at most `low` and the last at least `high`; at least two."""
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    candidates = [float(f"{factor}e{power}") for power in powers for factor in (1, 2, 5)]
    first = max(number for number, value in enumerate(candidates) if value <= low)
    last = min(number for number, value in enumerate(candidates) if value >= high)
    chosen = candidates[first : max(last, first + 1) + 1]
    return chosen if len(chosen) <= 8 else [chosen[0], *(x for x in chosen[1:-1] if f"{x:e}"[0] == "1"), chosen[-1]]
