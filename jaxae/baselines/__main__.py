"""Compare trained denoisers with classical methods, on the same noisy test images.

python -m jaxae.baselines RUN_DIR... [--images 300] [--noise.factor F] [--json]

Every method gets the network's input, the noisy image unclipped, and its output is clipped to [0, 1]. Its parameters
are the best of a grid, by the image metric on noisy training images.
"""

import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from jaxae import command, files, metrics, ops
from jaxae.baselines import methods
from jaxae.baselines.methods import METHODS, Parameters, Pixels
from jaxae.command import machine, output
from jaxae.config import DataOverride, NoiseOverride
from jaxae.data import Images
from jaxae.errors import UserError
from jaxae.noise import Noise
from jaxae.runs import figures, scores, trained
from jaxae.runs.trained import TrainedRun

TUNING_INDEX = 1 << 31  # training images have other numbers, and so other noise, than test images
COLUMNS = 10  # images in the figure
RECORD = "baselines.json"


@dataclass(frozen=True)
class Arguments:
    """Compare trained denoisers with classical methods."""

    run_dirs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """The directories of one or more runs."""
    images: int = 300
    """Test images, the first of the split; the classical methods take a few milliseconds for each."""
    tune_images: int = 100
    """Training images on which each method's parameters are chosen."""
    data: DataOverride = field(default_factory=DataOverride)
    noise: NoiseOverride = field(default_factory=NoiseOverride)
    checkpoint: Literal["latest", "best"] = "latest"
    """Which checkpoint of a run; best: the highest validation score."""
    out: Path | None = None
    """The directory for the comparison, with one below it for each of several runs; by default the run's own."""
    json: bool = False
    """Print a JSON list instead of tables."""


def measure_method(clean: Pixels, restored: Pixels, seconds: float | None, parameters: Parameters) -> dict[str, Any]:
    """Return the mean metrics, the milliseconds for each image, and the parameters."""
    values = jax.device_get(metrics.compute(jnp.asarray(restored), jnp.asarray(clean)))
    spent = 1e3 * seconds / len(clean) if seconds is not None else None
    return scores.Scores(values).means() | {"milliseconds": spent, "parameters": parameters}


def noisy_pair(noise: Noise, images: Images, first: int = 0) -> tuple[Pixels, Pixels]:
    """Return `images` clean and noisy, with the noise of those numbered from `first` on."""
    indices = jnp.arange(images.count, dtype=jnp.uint32) + jnp.uint32(first)
    return jax.device_get(ops.jit(scores.add_test_noise)(noise, images, indices))


def run_network(run: TrainedRun, noisy: Pixels) -> tuple[Pixels, float]:
    """Return the network's outputs for one batch, and the seconds it takes without compiling."""
    network, images = ops.jit(scores.restore_images, run.network.backend, static_argnums=0), jnp.asarray(noisy)
    jax.block_until_ready(network(run.network, run.params, images))
    started = time.perf_counter()
    restored = jax.block_until_ready(network(run.network, run.params, images))
    return np.asarray(restored), time.perf_counter() - started


def compare_run(run_dir: Path, arguments: Arguments) -> dict[str, Any]:
    """Compare one run with the classical methods; writes ``baselines.json`` and ``figures/baselines.png``."""
    run = trained.load_run(run_dir, arguments.checkpoint)
    test = trained.open_test(run, arguments.data, arguments.noise)
    if test.objective is not None:
        raise UserError(
            f"{run_dir} was trained without clean images, and nothing tells what is best for its own: name clean ones "
            "with --data.name, and the noise to add to them with --noise.kind"
        )
    tuning_images = trained.open_data(run, arguments.data).load("train").take(slice(arguments.tune_images))
    tuning_clean, tuning_noisy = noisy_pair(test.noise, tuning_images, TUNING_INDEX)
    sigma = float(np.std(tuning_noisy - tuning_clean)) or 1e-3
    clean, noisy = noisy_pair(test.noise, test.images.take(slice(arguments.images)))
    outputs: dict[str, tuple[Pixels, float | None, Parameters]] = {"noisy input": (np.clip(noisy, 0, 1), None, {})}
    for label, method in METHODS.items():
        parameters = methods.tune_method(method, tuning_clean, tuning_noisy, sigma)
        started = time.perf_counter()
        restored = methods.apply_method(method, noisy, sigma, parameters)
        outputs[label] = restored, time.perf_counter() - started, parameters
    outputs["network"] = *run_network(run, noisy), {}
    rows = {label: measure_method(clean, *each) for label, each in outputs.items()}
    result = {
        "run_dir": str(run_dir),
        "epoch": run.epoch,
        "data": {"name": test.name, "test_images": len(clean), "tuning_images": len(tuning_clean)},
        "noise": test.noise_description,
        "sigma": sigma,
        "rows": rows,
        "verdict": verdict(rows),
        "device": machine.device(),
    }
    out = arguments.out or run_dir
    if arguments.out is not None and len(arguments.run_dirs) > 1:
        out /= run_dir.name
    (out / "figures").mkdir(parents=True, exist_ok=True)
    images = {"original": clean} | {label: restored for label, (restored, _, _) in outputs.items()}
    figure = figures.image_rows({label: each[:COLUMNS] for label, each in images.items()}, clean[:COLUMNS])
    figures.save_figure(figure, out / "figures" / "baselines.png")
    files.write_json(out / RECORD, result)
    if not arguments.json:
        print_comparison(result)
        print(f"written: {out}/ ({RECORD}, figures/baselines.png)")
    return result


def verdict(rows: dict[str, dict[str, Any]]) -> str:
    """Return as text how far the network is ahead of the best classical method, or behind it, by the image metric."""
    metric = metrics.IMAGE_METRIC
    values = {label: row[metric.name] for label, row in rows.items() if label in METHODS}
    own = rows["network"][metric.name]
    label = max(values, key=lambda each: values[each] if metric.higher_is_better else -values[each])
    where = "ahead of" if metric.is_better(own, values[label]) else "behind"
    return f"the network is {where} the best classical method ({label}) by {metric.format(abs(own - values[label]))}"


def print_comparison(result: dict[str, Any]) -> None:
    """Print the `result` of `compare_run` as a table, the best value of each metric bold."""
    rows, about = result["rows"], result["data"]
    columns, bold = {"method": list(rows)}, set()
    for metric in metrics.known(rows["network"]):
        values = [row[metric.name] for row in rows.values()]
        best = (max if metric.higher_is_better else min)(values)
        columns[metric.heading] = [metric.format(value, unit=False) for value in values]
        bold |= {(metric.heading, row) for row, value in enumerate(values) if value == best}
    columns["ms/image"] = ["" if row["milliseconds"] is None else f"{row['milliseconds']:.3g}" for row in rows.values()]
    parameters = (row["parameters"].items() for row in rows.values())
    columns["tuned parameters"] = [", ".join(f"{name} {value}" for name, value in each) for each in parameters]
    title = f"{about['name']}, {about['test_images']} test images, noise {result['noise']}"
    output.print_table(title, columns, bold)
    print(result["verdict"])


def main() -> None:
    """Compare as the command line says."""
    arguments = command.parse_arguments(Arguments)
    if not arguments.run_dirs:
        raise UserError("name the directory of a run, or of several")
    if min(arguments.images, arguments.tune_images) < 1:
        raise UserError("--images and --tune-images must be at least 1")
    warnings.filterwarnings("ignore", module="skimage")
    results = [compare_run(run_dir, arguments) for run_dir in arguments.run_dirs]
    if arguments.json:
        output.print_json(results)


if __name__ == "__main__":
    command.run_main(main, "take fewer --images and --tune-images")
