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
        [_pictures(group) for group in _groups(numbered, lambda run: (run.config.data.name, run.test.images.shape))],
        _differences(numbered),
    )


def _groups(runs: list[Numbered], key: Callable[[Run], Hashable]) -> list[list[Numbered]]:
    groups: dict[Hashable, list[Numbered]] = {}
    for each in runs:
        groups.setdefault(key(each.run), []).append(each)
    return list(groups.values())


def _name(each: Numbered) -> list[Element | str]:
    return [swatch(each.number - 1), f"{each.number} {each.run.name}"]


def _figures(runs: list[Numbered]) -> Element:
    best: set[tuple[int, str]] = set()
    for group in _groups(runs, lambda run: (run.config.data.name, run.test.images.shape, describe(run.test.noise))):
        for name, choose in (("psnr", max), ("ssim", max), ("mse", min)):
            tests = {each.number: each.run.summary["test"] for each in group}
            values = {number: test[name] for number, test in tests.items() if name in test}
            if len(values) > 1:
                best |= {(number, name) for number, value in values.items() if value == choose(values.values())}
    rows = []
    for each in runs:
        number, run = each
        test = run.summary["test"]
        digits = {"psnr": 2, "ssim": 4, "mse": 5}
        figures = {name: f"{test[name]:.{count}f}" if name in test else "–" for name, count in digits.items()}
        rows.append(
            [
                _name(each),
                *(
                    element("strong", f"{text} ★", class_="best") if (number, name) in best else text
                    for name, text in figures.items()
                ),
                f"{test['noisy_psnr']:.2f}" if "noisy_psnr" in test else "–",
                run.summary["data"]["name"],
                run.summary["noise"],
                str(run.summary["epochs"]),
                f"{run.summary['throughput']['images_per_second']:,.0f}" if "throughput" in run.summary else "–",
            ]
        )
    heading = ["run", "PSNR [dB]", "SSIM", "MSE", "noisy PSNR", "data", "noise", "epochs", "images/s"]
    caption = "★ is the best on the same data and noise"
    return element("section", element("h2", "Figures"), table(heading, rows, caption))


def _curves(runs: list[Numbered]) -> Element | None:
    trained = [each for each in runs if each.run.history and not each.run.test.alone]
    if not trained:
        return None

    def plot(title: str, name: str, log: bool) -> Element:
        series = [curve(run, name, f"{number} {run.name}", number - 1) for number, run in trained]
        return line_plot(title, series, "epoch", log)

    plots = [plot("Test PSNR [dB]", "psnr", False), plot("Test mean squared error", "mse", True)]
    return element("section", element("h2", "Curves"), element("div", plots, class_="plots"))


def _pictures(group: list[Numbered]) -> Element:
    """The same noisy test images restored by each run of `group`."""
    first, pictured = group[0].run, group[:PICTURED]
    noise = next((run.test.noise for _, run in group if run.test.noise.kinds), first.test.noise)
    indices = np.arange(examples.shown(first.test.images))
    results = [examples.restore(run.model, run.params, run.test.images, indices, noise) for _, run in pictured]
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
    order = f"clean, with {with_noise}, then restored" if shown.has_noisy else "the original, then restored"
    return element(
        "section",
        element("h2", f"The first test images of {first.config.data.name}"),
        element("p", f"From top to bottom: {order} by each run, with the PSNR below.{left_out}", class_="note"),
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
