"""PSNR against seconds since the start of the process, of the programs in a record of `time_to_quality`.

    python -m benchmarks.quality_figure TIME_TO_QUALITY.json --classical BASELINES.json --out FIGURE.png

Horizontal lines show the PSNR of classical methods, from a record of `jaxae.baselines` for the same data and noise, on
the images of that record.
"""

import argparse
import json
from pathlib import Path

COLOURS = {"PyTorch original": "tab:red", "jaxae plain": "tab:blue", "jaxae fast": "tab:green"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path)
    parser.add_argument("--classical", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=3, help="how many of the classical methods, the best first")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    draw(json.loads(args.record.read_text()), json.loads(args.classical.read_text()), args.lines, args.out)


def draw(record: dict, classical: dict, lines: int, out: Path) -> None:
    """Write the figure to `out`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((9, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for row in record["rows"]:
        program, _, start = row["program"].partition(", ")
        if program not in COLOURS or start.startswith("1 epoch"):
            continue
        seconds, psnr = ([point[name] for point in row["curve"]] for name in ("seconds", "psnr"))
        style = "--" if start == "first start" else "-"
        axes.plot(seconds, psnr, style, marker="o", markersize=3, color=COLOURS[program], label=row["program"])
    methods = best(classical, lines)
    for _, psnr in methods:
        axes.axhline(psnr, color="0.5", linewidth=0.8)
    low, high = axes.get_ylim()
    for names, psnr in joined(methods, (high - low) / 20):
        axes.annotate(names, (0.01, psnr), xycoords=("axes fraction", "data"), va="bottom", color="0.35")
    axes.set_xscale("log")
    axes.set_xticks([10, 20, 30, 50, 100, 200], [10, 20, 30, 50, 100, 200])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(f"seconds since the start of the process ({record['machine']['processor']})")
    axes.set_ylabel("test PSNR [dB]")
    figure.legend(loc="outside right upper")
    figure.savefig(out)


def best(classical: dict, count: int) -> list[tuple[str, float]]:
    """The `count` methods of the highest PSNR, without the network and the noisy input."""
    psnrs = {name: row["psnr"] for name, row in classical["rows"].items() if name not in ("network", "noisy input")}
    return sorted(psnrs.items(), key=lambda item: -item[1])[:count]


def joined(methods: list[tuple[str, float]], apart: float) -> list[tuple[str, float]]:
    """Names to write beside their lines, together where the next line is less than `apart` below."""
    groups: list[tuple[str, float]] = []
    for name, psnr in methods:
        if groups and groups[-1][1] - psnr < apart:
            groups[-1] = (f"{groups[-1][0]}, {name}", groups[-1][1])
        else:
            groups.append((name, psnr))
    return groups


if __name__ == "__main__":
    main()
