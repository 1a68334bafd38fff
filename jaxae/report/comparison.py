"""The page that puts several runs side by side."""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from jaxae.config import flags
from jaxae.noise import describe
from jaxae.report import examples
from jaxae.report.markup import document, element, picture, table
from jaxae.report.page import card, cards, curve, decibels
from jaxae.report.plots import line_plot, swatch
from jaxae.report.run import Run


class Figure(NamedTuple):
    """A figure of a run's test in the table."""

    name: str  # in the summary
    heading: str
    digits: int
    choose: Callable | None = None  # the best of several


FIGURES = (
    Figure("psnr", "PSNR [dB]", 2, max),
    Figure("ssim", "SSIM", 4, max),
    Figure("mse", "MSE", 5, min),
    Figure("loss", "self-supervised loss", 5, min),
    Figure("noisy_psnr", "noisy PSNR", 2),
)
PICTURED = 8  # runs of which images are shown; a phone has no room for more


class Numbered(NamedTuple):
    """A run, and its number on the page."""

    number: int
    run: Run


def comparison(*runs: Run) -> bytes:
    """The page that compares `runs`, HTML in UTF-8."""
    numbered = [Numbered(number, run) for number, run in enumerate(runs, 1)]
    return document(
        "Runs compared – jaxae",
        element("h1", f"{len(runs)} runs compared"),
        _figures(numbered),
        _curves(numbered),
        [_pictures(group) for group in _groups(numbered, _same_images)],
        _differences(numbered),
    )


def _groups(runs: list[Numbered], key: Callable[[Run], Hashable]) -> list[list[Numbered]]:
    groups: dict[Hashable, list[Numbered]] = {}
    for each in runs:
        groups.setdefault(key(each.run), []).append(each)
    return list(groups.values())


def _same_images(run: Run) -> Hashable:
    return run.config.data.name, run.test.images.shape


def _name(each: Numbered) -> list[Element | str]:
    return [swatch(each.number - 1), f"{each.number} {each.run.name}"]


def _figures(runs: list[Numbered]) -> Element:
    tests = {number: run.summary["test"] for number, run in runs}
    shown = [figure for figure in FIGURES if any(figure.name in test for test in tests.values())]
    best: set[tuple[int, str]] = set()
    # losses compare only where they are of one kind: that of SURE is another number than that of Noise2Self
    for group in _groups(runs, lambda run: (_same_images(run), describe(run.test.noise), run.test.alone)):
        for figure in shown:
            values = {number: tests[number][figure.name] for number, _ in group if figure.name in tests[number]}
            if figure.choose and len(values) > 1:
                chosen = figure.choose(values.values())
                best |= {(number, figure.name) for number, value in values.items() if value == chosen}

    def cell(number: int, figure: Figure) -> Element | str:
        if figure.name not in tests[number]:
            return "–"
        text = f"{tests[number][figure.name]:.{figure.digits}f}"
        return element("strong", f"{text} ★", class_="best") if (number, figure.name) in best else text

    rows = [
        [
            _name(each),
            *(cell(each.number, figure) for figure in shown),
            each.run.summary["data"]["name"],
            each.run.summary["noise"],
            str(each.run.summary["epochs"]),
            f"{each.run.summary['throughput']['images_per_second']:,.0f}" if "throughput" in each.run.summary else "–",
        ]
        for each in runs
    ]
    heading = ["run", *(figure.heading for figure in shown), "data", "noise", "epochs", "images/s"]
    caption = "★ is the best on the same data and noise"
    return element("section", element("h2", "Figures"), table(heading, rows, caption))


def _curves(runs: list[Numbered]) -> Element | None:
    plots = []
    # a loss without clean images may be negative: no logarithm of it
    for title, name, log in (
        ("Test PSNR [dB]", "psnr", False),
        ("Test mean squared error", "mse", True),
        ("Test self-supervised loss", "loss", False),
    ):
        series = [curve(run, name, f"{number} {run.name}", number - 1) for number, run in runs]
        series = [line for line in series if line.points]
        if series:
            plots.append(line_plot(title, series, "epoch", log))
    if not plots:
        return None
    return element("section", element("h2", "Curves"), element("div", plots, class_="plots"))


def _pictures(group: list[Numbered]) -> Element:
    """The same noisy test images restored by each run of `group`."""
    first, pictured = group[0].run, group[:PICTURED]
    noise = next((run.test.noise for _, run in group if run.test.noise.kinds), first.test.noise)
    indices = np.arange(examples.shown(first.test.images))
    results = [examples.restore(run, indices, noise) for _, run in pictured]
    shown, with_noise = results[0], describe(noise) if noise.kinds else "its own noise"

    def one(position: int) -> Element:
        parts = []
        if shown.has_noisy:
            parts.append(picture(shown.noisy[position], f"test image {position} with {with_noise}"))
            parts.append(element("small", decibels(shown.noisy_psnr[position])))
        for each, result in zip(pictured, results, strict=True):
            alt = f"test image {position} restored by run {each.number}"
            parts.append(picture(result.restored[position], alt))
            said = f"{each.number}" if each.run.test.alone else f"{each.number}: {decibels(result.psnr[position])}"
            parts.append(element("small", said, class_="restored"))
        return card(shown, position, parts)

    names = [element("li", _name(each)) for each in pictured]
    left_out = f" Of {len(group)} runs the first {PICTURED}." if len(group) > PICTURED else ""
    original = "as it is" if all(run.test.alone for _, run in pictured) else "the original"
    order = f"clean, with {with_noise}, then restored" if shown.has_noisy else f"{original}, then restored"
    below = "" if all(run.test.alone for _, run in pictured) else ", with the PSNR below"
    return element(
        "section",
        element("h2", f"The first test images of {first.config.data.name}"),
        element("p", f"From top to bottom: {order} by each run{below}.{left_out}", class_="note"),
        element("ul", names, class_="legend"),
        cards([one(position) for position in range(len(indices))]),
    )


def _differences(runs: list[Numbered]) -> Element:
    settings: list[dict[str, Any]] = [flags(each.run.config) for each in runs]
    names = [name for name in settings[0] if len({str(one[name]) for one in settings}) > 1]
    if names:
        rows = [
            [element("code", name), *("–" if one[name] is None else str(one[name]) for one in settings)]
            for name in names
        ]
        heading = ["option", *(f"run {each.number}" for each in runs)]
        content = table(heading, rows, "The options that are not the same in all runs")
    else:
        content = element("p", "All have the same configuration.", class_="note")
    return element("section", element("h2", "What sets them apart"), content)
