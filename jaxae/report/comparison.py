"""The page that compares several runs."""

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from jaxae import metrics
from jaxae.config import flags
from jaxae.metrics import Metric
from jaxae.report.examples import count_shown, restore_examples
from jaxae.report.page import plot_epochs
from jaxae.report.rendering import render
from jaxae.report.tested_run import Run

PICTURED = 8  # runs whose outputs are shown for the same images; a phone has no room for more

Numbered = list[tuple[int, Run]]  # runs with their numbers on the page


def comparison_page(*runs: Run) -> bytes:
    """Return the page that compares `runs`, HTML in UTF-8."""
    numbered = list(enumerate(runs, 1))
    union = {name: value for run in runs for name, value in run.summary["test"].items()}
    known, main, plots = metrics.known(union), metrics.primary(union), []
    for metric in known:
        lines = ((f"{number} {run.name}", run.history, metric.name) for number, run in numbered)
        plots += plot_epochs(metric, f"Test {metric.heading}", lines)
    settings = [flags(run.config) for run in runs]
    return render(
        "comparison.html",
        runs=numbered,
        metrics=known,
        noisy=main if f"noisy_{main.name}" in union else None,
        best=_best(numbered, known),
        plots=plots,
        galleries=[_gallery(group) for group in _group(numbered, _test_images)],
        differences=[option for option in settings[0] if len({str(setting[option]) for setting in settings}) > 1],
        settings=settings,
    )


def _test_images(run: Run) -> Hashable:
    """Equal for runs tested on the same images."""
    return run.test.name, run.config.data.test_split, run.test.images.shape


def _test_conditions(run: Run) -> Hashable:
    """Equal for runs whose metrics compare: same images, noise and, without clean images, objective."""
    return _test_images(run), run.test.noise_description, run.test.objective


def _group(runs: Numbered, key: Callable[[Run], Hashable]) -> list[Numbered]:
    groups: dict[Hashable, Numbered] = {}
    for number, run in runs:
        groups.setdefault(key(run), []).append((number, run))
    return list(groups.values())


def _best(runs: Numbered, known: list[Metric]) -> set[tuple[int, str]]:
    """The number of the run and the name of the metric of each best value among comparable runs."""
    best = set()
    for group in _group(runs, _test_conditions):
        for metric in known:
            values = {
                number: run.summary["test"][metric.name] for number, run in group if metric.name in run.summary["test"]
            }
            if len(values) > 1:
                chosen = (max if metric.higher_is_better else min)(values.values())
                best |= {(number, metric.name) for number, value in values.items() if value == chosen}
    return best


def _gallery(group: Numbered) -> dict[str, Any]:
    """The first test images and the outputs of each run for them, with the noise of the first run that has any."""
    noise = next((run.test.noise for _, run in group if run.test.noise.kinds), group[0][1].test.noise)
    indices = np.arange(count_shown(group[0][1]))
    first, *others = (restore_examples(run, indices, noise, number) for number, run in group[:PICTURED])
    images = [[*shown, *(other.images[n][-1] for other in others)] for n, shown in enumerate(first.images)]
    return {"runs": group, "pictured": group[:PICTURED], "examples": first._replace(images=images)}
