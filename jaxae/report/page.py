"""The report of one run."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from jaxae import metrics
from jaxae.config import flags
from jaxae.metrics import Metric
from jaxae.report.examples import MULTIPLES, SAMPLE, Examples, count_shown, restore_examples, scale_noise
from jaxae.report.plots import Plot, Series, line_plot
from jaxae.report.rendering import render
from jaxae.report.tested_run import Run, reproducing_command

EXTREMES = 6  # worst and best test images, so many of each


def run_page(run: Run) -> bytes:
    """Return the report of `run`, HTML in UTF-8."""
    first = np.arange(min(SAMPLE, run.test.images.count))
    multiples = MULTIPLES if run.test.noise.kinds else (1.0,)  # a single level without noise
    levels = [restore_examples(run, first, scale_noise(run.test.noise, multiple)) for multiple in multiples]
    return render(
        "run.html",
        run=run,
        metrics=metrics.known(run.summary["test"]),
        levels=levels,
        count=count_shown(run),
        extremes=_extremes(run) if run.metric.function else {},
        plots=_curves(run) + _noise_curves(run, levels),
        settings={option: value for option, value in flags(run.config).items() if value is not None},
        reproduce=reproducing_command(run.config) if run.history else None,  # else it was not trained here
    )


def _extremes(run: Run) -> dict[str, Examples]:
    """The worst and the best test images by the main metric."""
    values = run.scores.values[run.metric.name]
    order = np.argsort(values if run.metric.higher_is_better else -values, kind="stable")
    chosen = {"Worst": order[:EXTREMES], "Best": order[::-1][:EXTREMES]}
    return {title: restore_examples(run, indices, run.test.noise) for title, indices in chosen.items()}


def _curves(run: Run) -> list[Plot]:
    """Each metric over epochs; the training loss joins the first metric that is an error too."""
    known, plots = metrics.known(run.summary["test"]), []
    error = next((metric for metric in known if not metric.higher_is_better), None)
    for metric in known:
        names = {"train": "train_loss" if metric is error else "", "test": metric.name}
        names["validation"] = f"validation_{metric.name}"
        plots += plot_epochs(metric, metric.heading, ((label, run.history, name) for label, name in names.items()))
    return plots


def plot_epochs(metric: Metric, title: str, lines: Iterable[tuple[str, list[dict[str, Any]], str]]) -> list[Plot]:
    """Plot values of a metric over epochs, on a logarithmic axis if it is an error that is positive throughout.

    Args:
        metric: The metric.
        title: Of the plot.
        lines: The label of each line, a history, and the name of a value in it.

    Returns:
        The plot; an empty list if no history has the value.
    """
    series = []
    for colour, (label, history, name) in enumerate(lines):
        if points := [(record["epoch"], record[name]) for record in history if name in record]:
            series.append(Series(label, points, colour))
    log = not metric.higher_is_better and all(y > 0 for line in series for _, y in line.points)
    return [line_plot(title, series, "epoch", log)] if series else []


def _noise_curves(run: Run, levels: list[Examples]) -> list[Plot]:
    if len(levels) == 1:
        return []
    lines = ("noisy", [level.noisy_values for level in levels], 7), ("restored", [level.values for level in levels], 1)
    series = []
    for label, values, colour in lines:
        points = [(at, run.metric.mean(each)) for at, each in zip(MULTIPLES, values, strict=True) if each is not None]
        series.append(Series(label, points, colour))
    return [line_plot(f"{run.metric.heading} over noise", series, "noise relative to training")]
