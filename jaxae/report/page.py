"""The page of one run."""

from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from jaxae import metrics
from jaxae.config import flags
from jaxae.noise import describe
from jaxae.report import examples
from jaxae.report.examples import Examples
from jaxae.report.markup import document, element, picture, table
from jaxae.report.plots import Series, line_plot
from jaxae.report.run import Run, reproduce
from jaxae.report.tiles import tiles
from jaxae.run import samples

EXTREMES = 6  # worst and best test images, so many of each


def page(run: Run) -> bytes:
    """The page of `run`, HTML in UTF-8."""
    levels = _levels(run)
    title = run.summary.get("experiment", "run")
    return document(
        f"{run.name} – jaxae",
        element("h1", run.name),
        element("p", f"{title}: {_about(run)}", class_="about"),
        _notices(run.summary),
        tiles(run.summary),
        _slider(levels) if run.test.noise.kinds else _plain_examples(run, levels[0]),
        None if run.test.alone else _extremes(run),
        _curves(run, levels),
        _facts(run),
    )


def _about(run: Run) -> str:
    data = run.summary["data"]
    trained = f"{data['train_size']:,} training and " if "train_size" in data else ""
    return (
        f"{data['name']} ({trained}{len(run.test.images):,} test images), noise {run.summary['noise']}, "
        f"{run.config.recipe} recipe, {run.summary['epochs']} epochs"
    )


def _notices(summary: dict[str, Any]) -> list[Element]:
    found, health = [], summary.get("health", {})
    if reason := summary["data"].get("reason"):
        found.append(f"Embedded images took the place of the experiment's own data set: {reason}")
    if health.get("outputs_alike"):
        found.append(
            f"The outputs for different test images hardly differ ({health['outputs_spread']:.1%} of the images' own "
            "spread): the network answers nearly the same to all"
        )
    if asleep := health.get("filters_asleep"):
        found.append(f"{asleep} of {health['filters']} filters are asleep: no test image gets an answer from them")
    return [element("p", text, class_="notice") for text in found]


def _levels(run: Run) -> list[Examples]:
    """The first test images at each strength of noise; one level where there is no noise."""
    multiples = examples.MULTIPLES if run.test.noise.kinds else (1.0,)
    noises = [examples.stronger(run.test.noise, multiple) for multiple in multiples]
    first = np.arange(min(samples.MOST, len(run.test.images)))
    return [examples.restore(run, first, noise) for noise in noises]


def card(shown: Examples, position: int, parts: list[Element]) -> Element:
    """A test image, and what belongs below it."""
    number = shown.indices[position]
    return element("li", picture(shown.clean[position], f"test image {number}"), parts)


def after(shown: Examples, position: int) -> list[Element]:
    """The noisy test image, if there is noise, and the restored one, each with its PSNR."""
    number, parts = shown.indices[position], []
    if shown.has_noisy:
        with_noise = describe(shown.noise) if shown.noise.kinds else "its own noise"
        parts.append(picture(shown.noisy[position], f"test image {number} with {with_noise}"))
        parts.append(element("small", decibels(shown.noisy_psnr[position])))
    parts.append(picture(shown.restored[position], f"test image {number} restored"))
    return [*parts, element("small", decibels(shown.psnr[position]), class_="restored")]


def decibels(psnr: float | np.floating) -> str:
    """A PSNR as the captions give it."""
    return f"{psnr:.1f} dB" if np.isfinite(psnr) else "exact"


def _slider(levels: list[Examples]) -> Element:
    room, middle = examples.shown(levels[0].clean), len(levels) // 2

    def at_every_level(position: int) -> list[Element]:
        return [
            element("div", after(shown, position), data_level=level, hidden=level != middle)
            for level, shown in enumerate(levels)
        ]

    sample = len(levels[0].indices)
    names = [
        element(
            "span",
            f"{describe(shown.noise)}: mean PSNR of {sample} test images "
            f"{_mean(shown.noisy_psnr):.1f} → {_mean(shown.psnr):.1f} dB",
            data_level=level,
            hidden=level != middle,
        )
        for level, shown in enumerate(levels)
    ]
    control = element(
        "div",
        element("label", "Strength of the noise", for_="strength"),
        element("input", type="range", id="strength", min=0, max=len(levels) - 1, step=1, value=middle, hidden=True),
        element("output", names, id="strength-name", for_="strength"),
        class_="control",
    )
    listed = [card(levels[0], position, at_every_level(position)) for position in range(room)]
    return element(
        "section",
        element("h2", "The first test images"),
        element("p", "From top to bottom: clean, noisy, restored, with the PSNR below.", class_="note"),
        control,
        cards(listed),
    )


def _plain_examples(run: Run, shown: Examples) -> Element:
    cut = 1 if run.test.alone else None  # without the PSNR
    listed = [card(shown, position, after(shown, position)[:cut]) for position in range(examples.shown(shown.clean))]
    note = "Above the original, below what the network makes of it, with its PSNR."
    if shown.has_noisy:
        note = "From top to bottom: clean, noisy, restored, with the PSNR below."
    if run.test.alone:
        note = "Above the noisy image, below what the network makes of it."
    return element(
        "section",
        element("h2", "The first test images"),
        element("p", note, class_="note"),
        cards(listed),
    )


def cards(listed: list[Element]) -> Element:
    """The cards of several test images."""
    return element("ul", listed, class_="examples" if len(listed) > EXTREMES else "examples few")


def _extremes(run: Run) -> Element:
    order = np.argsort(run.scores.psnr, kind="stable")
    halves = []
    for title, indices in (("Worst", order[:EXTREMES]), ("Best", order[::-1][:EXTREMES])):
        shown = examples.restore(run, indices, run.test.noise)
        listed = [card(shown, position, after(shown, position)) for position in range(len(indices))]
        halves.append(element("div", element("h3", title), cards(listed)))
    return element(
        "section",
        element("h2", "Worst and best test images"),
        element(
            "p",
            f"By PSNR after restoring, among {len(run.test.images):,}; noise {run.test.describe_noise()}.",
            class_="note",
        ),
        element("div", halves, class_="halves"),
    )


def _curves(run: Run, levels: list[Examples]) -> Element | None:
    plots = []
    if run.history:
        tested = "loss" if run.test.alone else "mse"
        errors = [curve(run, "train_mse", "train", 0), curve(run, tested, "test", 1)]
        title = "Self-supervised loss" if run.test.alone else "Mean squared error"
        plots.append(line_plot(title, errors, "epoch", log=not run.test.alone))
        if not run.test.alone:
            plots.append(line_plot("Test PSNR [dB]", [curve(run, "psnr", "test", 1)], "epoch"))
    if len(levels) > 1:
        strengths = [
            Series("noisy", [(m, _mean(s.noisy_psnr)) for m, s in zip(examples.MULTIPLES, levels, strict=True)], 7),
            Series("restored", [(m, _mean(s.psnr)) for m, s in zip(examples.MULTIPLES, levels, strict=True)], 1),
        ]
        plots.append(line_plot("PSNR [dB] over noise", strengths, "noise, as multiples of that in training"))
    if not plots:
        return None
    return element("section", element("h2", "Curves"), element("div", plots, class_="plots"))


def curve(run: Run, name: str, label: str, colour: int) -> Series:
    """A figure of each epoch."""
    return Series(label, [(record["epoch"], record[name]) for record in run.history if name in record], colour)


def _mean(psnr: np.ndarray) -> float:
    return metrics.mean_psnr(psnr)


def _facts(run: Run) -> Element:
    summary = run.summary
    given = {option: str(value) for option, value in flags(run.config).items() if value is not None}
    settings = [[element("code", option), value] for option, value in given.items()]
    facts = []
    for group in ("data", "device", "versions"):
        facts += [[f"{name}" if group == "versions" else f"{group}: {name.replace('_', ' ')}", f"{value}"]
                  for name, value in summary.get(group, {}).items() if value is not None]  # fmt: skip
    if "params_digest" in summary:
        facts.append(["digest of the parameters", element("code", summary["params_digest"])])
    commands: list[Element] = []
    if run.history:  # else it was not trained here
        commands.append(element("p", "The same command, versions and device give the same parameters:", class_="note"))
        commands.append(command(reproduce(run.config)))
    if "command" in summary:
        commands += [element("p", "It was made by:", class_="note"), command(summary["command"])]
    tables = [facts_table(settings, "Configuration"), facts_table(facts, "What it ran with")]
    return element("section", element("h2", "How to reproduce it"), commands, element("div", tables, class_="halves"))


def command(text: str) -> Element:
    """A command, broken between words alone."""
    return element("pre", element("code", [[element("span", word), " "] for word in text.split(" ")]))


def facts_table(rows: list[list], caption: str) -> Element:
    """Names and values."""
    made = table(["name", "value"], rows, caption)
    made.set("class", "scroll facts")
    return made
