"""The members of a sweep side by side: a table and a picture of their test PSNR, by what they have in common.

Where no clean images are known the self-supervised loss takes its place.
"""

from typing import NamedTuple

import numpy as np

from jaxae import report
from jaxae.run import figures


class Group(NamedTuple):
    """The members that differ in nothing but the seed: what each reached, and whether its outputs are all alike."""

    label: str
    measure: str
    reached: list[float]
    alike: list[bool]


def group(members: list[report.Run]) -> list[Group]:
    """What the members reached, by what they have in common."""
    groups: dict[str, Group] = {}
    for member in members:
        label = f"{member.test.describe_noise()}, rate {member.config.train.learning_rate:g}"
        name, measure = ("loss", "loss") if member.test.alone else ("psnr", "PSNR [dB]")
        group = groups.setdefault(label, Group(label, measure, [], []))
        group.reached.append(member.summary["test"][name])
        group.alike.append(member.summary["health"]["outputs_alike"])
    return list(groups.values())


def table(groups: list[Group]) -> str:
    """A Markdown table of the groups."""
    measure = groups[0].measure
    lines = [f"| noise, learning rate | seeds | mean {measure} | lowest | highest |", "|---|---:|---:|---:|---:|"]
    digits = 5 if measure == "loss" else 2
    for label, _, reached, alike in groups:
        marked = (
            f"{label} ({sum(alike)} of {len(alike)} answer nearly the same to every image)" if any(alike) else label
        )
        values = " | ".join(f"{value:.{digits}f}" for value in (np.mean(reached), min(reached), max(reached)))
        lines.append(f"| {marked} | {len(reached)} | {values} |")
    return "\n".join(lines) + "\n"


def spread(groups: list[Group]):
    """A figure of the groups: a dot for each member, a line at the mean."""
    plt = figures.pyplot()
    figure, axis = plt.subplots(figsize=(max(4.5, 1.2 + 1.3 * len(groups)), 3.8), layout="constrained")
    for place, (_, _, reached, _) in enumerate(groups):
        axis.plot([place] * len(reached), reached, "o", color=figures.TEST, alpha=0.6, ms=5, mew=0)
        axis.plot([place - 0.22, place + 0.22], [np.mean(reached)] * 2, color=figures.INK, lw=1.5)
    axis.set_xticks(range(len(groups)), [group.label.replace(", ", "\n") for group in groups], fontsize=8)
    axis.set_xlim(-0.6, len(groups) - 0.4)
    axis.set_title(f"test {groups[0].measure} of each member, and the mean", fontsize=10, loc="left", color=figures.INK)
    axis.grid(True, axis="y", color=figures.GRID, lw=0.6)
    axis.tick_params(labelsize=8, colors=figures.MUTED)
    axis.spines[["top", "right"]].set_visible(False)
    return figure
