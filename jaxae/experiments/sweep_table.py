"""The members of a sweep side by side: a table and a picture of their test PSNR, by what they have in common."""

from typing import NamedTuple

import numpy as np

from jaxae import noise, report
from jaxae.run import figures


class Group(NamedTuple):
    """The members that differ in nothing but the seed: the PSNR of each, and whether its outputs are all alike."""

    label: str
    psnr: list[float]
    alike: list[bool]


def group(members: list[report.Run]) -> list[Group]:
    """The members' test PSNR, by what they have in common."""
    groups: dict[str, Group] = {}
    for member in members:
        label = f"{noise.describe(member.test.noise)}, rate {member.config.train.learning_rate:g}"
        group = groups.setdefault(label, Group(label, [], []))
        group.psnr.append(member.summary["test"]["psnr"])
        group.alike.append(member.summary["health"]["outputs_alike"])
    return list(groups.values())


def table(groups: list[Group]) -> str:
    """A Markdown table of the groups."""
    lines = ["| noise, learning rate | seeds | PSNR mean [dB] | lowest | highest |", "|---|---:|---:|---:|---:|"]
    for label, psnr, alike in groups:
        marked = (
            f"{label} ({sum(alike)} of {len(alike)} answer nearly the same to every image)" if any(alike) else label
        )
        lines.append(f"| {marked} | {len(psnr)} | {np.mean(psnr):.2f} | {min(psnr):.2f} | {max(psnr):.2f} |")
    return "\n".join(lines) + "\n"


def spread(groups: list[Group]):
    """A figure of the groups: a dot for each member, a line at the mean."""
    plt = figures.pyplot()
    figure, axis = plt.subplots(figsize=(max(4.5, 1.2 + 1.3 * len(groups)), 3.8), layout="constrained")
    for place, (_, psnr, _) in enumerate(groups):
        axis.plot([place] * len(psnr), psnr, "o", color=figures.TEST, alpha=0.6, ms=5, mew=0)
        axis.plot([place - 0.22, place + 0.22], [np.mean(psnr)] * 2, color=figures.INK, lw=1.5)
    axis.set_xticks(range(len(groups)), [group.label.replace(", ", "\n") for group in groups], fontsize=8)
    axis.set_xlim(-0.6, len(groups) - 0.4)
    axis.set_title("test PSNR [dB] of each member, and the mean", fontsize=10, loc="left", color=figures.INK)
    axis.grid(True, axis="y", color=figures.GRID, lw=0.6)
    axis.tick_params(labelsize=8, colors=figures.MUTED)
    axis.spines[["top", "right"]].set_visible(False)
    return figure
