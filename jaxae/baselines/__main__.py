"""A trained denoiser against the classical methods, on the same noisy test images.

python -m jaxae.baselines RUN_DIR... [--images 300] [--noise.factor F] [--json]

Every method gets what the network gets, the noisy image unclipped, and its result is clipped to [0, 1]. Its strength is
the best of a grid, by mean PSNR on noisy training images.
"""

import json
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import UInt8

from jaxae import command, files, noise, ops
from jaxae.baselines import methods
from jaxae.baselines.methods import METHODS, Images, Parameters
from jaxae.command import machine
from jaxae.config import DataOverride, NoiseOverride
from jaxae.errors import UserError
from jaxae.noise import Noise
from jaxae.run import figures, scores, trained
from jaxae.run.trained import TrainedRun

TUNING_INDEX = 1 << 31  # the noise on training images is drawn under other numbers than that on test images
COLUMNS = 10  # images in the figure


@dataclass(frozen=True)
class Arguments:
    """Compare trained denoisers with classical methods."""

    run_dirs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """The directories of one or more runs."""
    images: int = 300
    """Test images, the first of the split; the classical methods take a few milliseconds for each."""
    tune_images: int = 100
    """Training images on which each method's strength is chosen."""
    data: DataOverride = field(default_factory=DataOverride)
    noise: NoiseOverride = field(default_factory=NoiseOverride)
    checkpoint: Literal["latest", "best"] = "latest"
    """Which of a run's checkpoints."""
    out: Path | None = None
    """The directory that the comparison goes into, of several runs one each below it; by default the run's own."""
    json: bool = False
    """Print a JSON list instead of tables."""


def row(restored: Images, clean: Images, seconds: float | None, parameters: Parameters | None = None) -> dict[str, Any]:
    """A line of the table: the means over images, and the milliseconds for each."""
    values = scores.compare(jnp.asarray(restored), jnp.asarray(clean))
    means = scores.Scores(*(np.asarray(value) for value in values)).means()
    return means | {
        "milliseconds": None if seconds is None else 1e3 * seconds / len(clean),
        "parameters": parameters or {},
    }


def corrupted(corruption: Noise, images: UInt8[np.ndarray, "n h w stored"], first: int = 0) -> tuple[Images, Images]:
    """`images` clean and noisy, with the noise of the images numbered from `first` on."""
    indices = jnp.arange(len(images), dtype=jnp.uint32) + jnp.uint32(first)
    clean, noisy = ops.jit(scores.corrupt)(corruption, images, indices)
    return np.asarray(clean), np.asarray(noisy)


def run_network(run: TrainedRun, noisy: Images) -> tuple[Images, float]:
    """What the network makes of the images, as one batch, and the seconds that took after compiling."""
    network, images = ops.jit(scores.restore, run.model.way, static_argnums=0), jnp.asarray(noisy)
    jax.block_until_ready(network(run.model, run.params, images))
    started = time.perf_counter()
    restored = jax.block_until_ready(network(run.model, run.params, images))
    return np.asarray(restored), time.perf_counter() - started


def compare(run_dir: Path, arguments: Arguments) -> dict[str, Any]:
    """Compare one run; writes ``baselines.json`` and ``figures/baselines.png``."""
    run = trained.restore(run_dir, arguments.checkpoint)
    name, test_images, corruption, alone = trained.open_test(run, arguments.data, arguments.noise)
    if alone:
        raise UserError(
            f"{run_dir} was trained on noisy images alone, and nothing tells what is best for them: name clean ones "
            "with --data.name, and the noise to put on them with --noise.kind"
        )
    tuning_images = trained.open_images(run, arguments.data, "train")[1][: arguments.tune_images]
    tuning_clean, tuning_noisy = corrupted(corruption, tuning_images, TUNING_INDEX)
    sigma = float(np.std(tuning_noisy - tuning_clean)) or 1e-3
    clean, noisy = corrupted(corruption, test_images[: arguments.images])
    images = {"original": clean, "noisy input": np.clip(noisy, 0, 1)}
    rows = {"noisy input": row(images["noisy input"], clean, None)}
    edges = []
    for label, method in METHODS.items():
        parameters = methods.tune(method, tuning_clean, tuning_noisy, sigma)
        edges += [f"{label}'s {parameter}" for parameter in methods.at_edge(method, parameters)]
        started = time.perf_counter()
        images[label] = methods.apply(method, noisy, sigma, parameters)
        rows[label] = row(images[label], clean, time.perf_counter() - started, parameters)
    images["network"], seconds = run_network(run, noisy)
    rows["network"] = row(images["network"], clean, seconds)

    result = {
        "run_dir": str(run_dir),
        "epoch": run.epoch,
        "data": {"name": name, "test_images": len(clean), "tuning_images": len(tuning_clean)},
        "noise": noise.describe(corruption),
        "noise_deviation": sigma,
        "rows": rows,
        "verdict": verdict(rows),
        "at_edge": edges,
        "device": machine.device(),
    }
    out = place(run_dir, arguments)
    (out / "figures").mkdir(parents=True, exist_ok=True)
    figure = figures.image_rows({label: shown[:COLUMNS] for label, shown in images.items()}, clean[:COLUMNS])
    figures.save(figure, out / "figures" / "baselines.png")
    files.write_json(out / "baselines.json", result)
    return result


def place(run_dir: Path, arguments: Arguments) -> Path:
    """Where the comparison of the run in `run_dir` goes."""
    if arguments.out is None:
        return run_dir
    return arguments.out if len(arguments.run_dirs) == 1 else arguments.out / run_dir.name


def verdict(rows: dict[str, dict[str, Any]]) -> str:
    """How far the network is ahead of the best classical method, or behind it and which others, by PSNR."""
    classical = {label: rows[label]["psnr"] for label in METHODS}
    best = max(classical, key=classical.get)
    gap = rows["network"]["psnr"] - classical[best]
    if gap > 0:
        return f"the network is ahead of every classical method, of the best ({best}) by {gap:.2f} dB"
    ahead = [label for label, value in classical.items() if value >= rows["network"]["psnr"]]
    return f"the network is behind {', '.join(ahead)}; it lacks {-gap:.2f} dB to the best ({best})"


def table(result: dict[str, Any]):
    """The comparison as a table for the terminal."""
    from rich.table import Table

    about = result["data"]
    shown = Table(
        title=f"{about['name']}, {about['test_images']} test images, noise {result['noise']}", title_justify="left"
    )
    shown.add_column("method")
    for heading in ("PSNR [dB]", "SSIM", "ms/image"):
        shown.add_column(heading, justify="right")
    shown.add_column("strength, chosen on training images")
    best = {name: max(line[name] for line in result["rows"].values()) for name in ("psnr", "ssim")}
    for label, line in result["rows"].items():
        cells = {"psnr": f"{line['psnr']:.2f}", "ssim": f"{line['ssim']:.3f}"}
        marked = [f"[bold]{text}[/]" if line[name] == best[name] else text for name, text in cells.items()]
        spent = "" if line["milliseconds"] is None else f"{line['milliseconds']:.3g}"
        shown.add_row(label, *marked, spent, ", ".join(f"{key} {value}" for key, value in line["parameters"].items()))
    return shown


def main() -> None:
    """Compare as the command line says."""
    from rich.console import Console

    arguments = command.parse(Arguments)
    if not arguments.run_dirs:
        raise UserError("name the directory of a run, or of several")
    command.enable_compilation_cache()
    results = []
    for run_dir in arguments.run_dirs:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="skimage")
            results.append(compare(run_dir, arguments))
        if not arguments.json:
            Console(highlight=False).print(table(results[-1]))
            edges = f" (at the end of its grid: {', '.join(results[-1]['at_edge'])})" if results[-1]["at_edge"] else ""
            print(f"{results[-1]['verdict']}{edges}\nwritten: {place(run_dir, arguments)}/ (baselines.json, …)")
    if arguments.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    command.run_main(main, "take fewer --images and --tune-images")
