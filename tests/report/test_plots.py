"""The plots of a page: Matplotlib's drawings as part of it."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from jaxae import report
from jaxae.report import plots
from tests.made_run import Page, made


def test_a_plot_says_its_values_and_shows_only_numbers():
    drawn = plots.line_plot(
        "error", [plots.Series("a", [(1, 2.0), (2, np.nan), (3, 0.5), (4, 0.0)], 0), plots.Series("b", [], 9)],
        "epoch", log=True,
    )  # fmt: skip
    svg = ElementTree.fromstring(drawn.svg)
    assert svg.get("aria-label") == "error: a from 2 to 0.5; b: none"
    assert [title.text for title in svg.iter("title")] == ["a, 1: 2", "a, 3: 0.5"]
    assert {"1", "3", "epoch", "0.5", "2"} <= {text.text for text in svg.iter("text")}
    low, high = (float(dot.get("y")) for dot in svg.iter("use") if dot.find("title") is not None)
    assert 0 < low < high < plots.HEIGHT  # downwards


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", [[], [np.nan], [0.25], [0.25, 0.25], [0.0499, 0.0501], [1e-9, 1.0], [1e30, 1e-30]])
def test_any_values_can_be_drawn(values, log):
    series = plots.Series("a", list(enumerate(values, 1)), 0)
    drawn = ElementTree.fromstring(plots.line_plot("t", [series], "epoch", log).svg)
    dots = [(float(dot.get("x")), float(dot.get("y"))) for dot in drawn.iter("use")]
    assert len(dots) == np.isfinite(values).sum()
    assert all(0 < x < plots.WIDTH and 0 < y < plots.HEIGHT for x, y in dots)
    assert 2 <= len([text for text in drawn.iter("text") if text.get("text-anchor") == "end"]) <= 12


def test_the_plots_are_the_same_every_time_and_take_only_the_pages_colours():
    content = report.run_page(made())
    assert content == report.run_page(made())
    page = Page(content)
    assert b"style=" not in content
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("font")]  # the page's own
    colours = {attributes[name] for _, attributes in page.tags for name in ("fill", "stroke") if name in attributes}
    style = (Path(report.__file__).parent / "templates" / "style.css").read_text()
    assert colours - {"none"}
    assert all(f"{colour[4:-1]}: #" in style for colour in colours - {"none"}), colours
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {dot["href"].removeprefix("#") for dot in page.all("use")} <= set(ids)
