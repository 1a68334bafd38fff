"""Denoise pictures with a trained run.

python -m jaxae.denoising RUN_DIR INPUT... --out DIR [--add-noise | --reference CLEAN]

RUN_DIR may also be `ready`, a network for photographs, or `ready-digits`: their weights ship with jaxae.
"""

import os
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from jaxae import command, data, files, metrics
from jaxae.command import machine, output
from jaxae.config import NoiseOverride, RangeOverride
from jaxae.data.pictures import listing
from jaxae.denoising import before_after, reference
from jaxae.denoising.pipeline import Pipeline
from jaxae.errors import UserError
from jaxae.noise import Noise, describe, parse
from jaxae.runs import figures
from jaxae.runs.trained import TrainedRun, load_run

LISTED = 20  # pictures whose metrics are printed
FIGURE = "before-after.png"


@dataclass(frozen=True)
class Arguments:
    """Denoise pictures with a trained run."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The run's directory; a file of weights; or ready, for photographs, or ready-digits, which ship with jaxae."""
    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Pictures (PNG, JPEG, WebP, TIFF and others), and folders of them."""
    out: Path
    """Folder for the denoised pictures, under the names of the inputs."""
    add_noise: bool = False
    """Add noise to clean pictures first, the run's own or that of --noise.*, and measure how well it was removed."""
    noise: NoiseOverride = field(default_factory=NoiseOverride)
    reference: Path | None = None
    """The clean picture, or a folder of clean ones with the names of the inputs, to compare the restored ones with."""
    data: RangeOverride = field(default_factory=RangeOverride)
    strength: float = 1.0
    """How much of what the network takes away is taken away, above 0 and at most 1."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which checkpoint of the run; best: the highest validation score."""
    overwrite: bool = False
    """Replace files of the same names in the output folder."""
    json: bool = False
    """Print a JSON object instead of lines."""


def check_output_folder(out: Path, inputs: Iterable[Path], wanted: list[Path], overwrite: bool) -> None:
    """Create the folder `out`; an error if it cannot be written to, or if there are files that must not be replaced.

    Args:
        out: the folder.
        inputs: files that are never replaced.
        wanted: the files that will be written.
        overwrite: whether other files may be replaced.
    """
    taken = {source.resolve() for source in inputs}
    for place in wanted:
        if place.resolve() in taken:
            raise UserError(f"{place} is one of the inputs: name another --out")
    if len(set(wanted)) < len(wanted):
        raise UserError(f"a picture is called {FIGURE}, as the figure of the comparison is: rename it")
    there = [place for place in wanted if place.exists() or place.is_symlink()]
    if there and not overwrite:
        raise UserError(f"already there: {files.name_some(there, 1)}; add --overwrite, or name another --out")
    out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK | os.X_OK):
        raise UserError(f"--out {out} is not writable: name another folder")
    for path in files.unfinished(wanted):
        path.unlink(missing_ok=True)


def choose_noise(arguments: Arguments, run: TrainedRun) -> Noise | None:
    """Return the noise to add, by default that of the training; None without --add-noise."""
    if not arguments.add_noise:
        if arguments.noise != NoiseOverride():
            raise UserError("--noise.* names the noise to add: give --add-noise too")
        return None
    own = arguments.noise.applied_to(run.config.noise)
    chosen = parse(own.kind, own.factor, own.clip)
    if not chosen.kinds:
        raise UserError("--add-noise: the run was trained without noise; name one with --noise.kind")
    return chosen


def denoise_files(arguments: Arguments) -> dict[str, Any]:
    """Denoise as `arguments` say; returns what was done, as JSON types, with the inputs that failed as ``failed``."""
    places, left_out = listing.find_pictures(arguments.inputs, arguments.out)
    for line in left_out:
        warnings.warn(line, stacklevel=2)
    figure, references = arguments.out / FIGURE, {}
    if arguments.reference is not None:
        if arguments.add_noise:
            raise UserError("--add-noise takes clean inputs, and --reference noisy ones: omit one of the two")
        references = reference.find_references(arguments.reference, places, arguments.out)
        if lonely := [source for source in places if source not in references]:
            what = f"without a clean picture of the same name in {arguments.reference}"
            warnings.warn(f"{what}: {files.name_some(lonely)}", stacklevel=2)
    extra = [figure] if arguments.add_noise or references else []
    check_output_folder(arguments.out, places, [*places.values(), *extra], arguments.overwrite)
    run = load_run(arguments.run_dir, arguments.checkpoint)
    noise = choose_noise(arguments, run)
    value_range = data.parse_value_range(arguments.data.range or run.config.data.range)
    batch = Pipeline(run, places, references, noise, value_range, arguments.strength)
    batch.denoise_all()
    for note, noted in batch.notes.items():
        warnings.warn(f"{files.name_some(noted, 1)}: {note}", stacklevel=2)
    rows, seconds = batch.rows, batch.seconds or 1.0  # without rows there is no rate
    megapixels = sum(row["shape"][0] * row["shape"][1] for row in rows) / 1e6
    result = {
        "run_dir": str(arguments.run_dir),
        "epoch": run.epoch,
        "device": machine.device(),
        "images": len(rows),
        "megapixels": megapixels,
        "seconds": batch.seconds,
        "images_per_second": len(rows) / seconds,
        "megapixels_per_second": megapixels / seconds,
        "compile_seconds": batch.compile_seconds,
        "pictures": rows,
        "failed": batch.failed,
        "warnings": [{"inputs": [str(each) for each in noted], "note": note} for note, noted in batch.notes.items()],
    }
    if batch.columns:
        label = "noisy" if noise is None else describe(noise)
        figures.save_figure(before_after.draw_columns(batch.columns, ("original", label, "restored")), figure)
        result |= {"reference": str(arguments.reference)} if noise is None else {"noise": label}
        result |= {"means": before_after.mean_measures(rows), "figure": str(figure)}
    return result


def print_result(result: dict[str, Any], out: Path) -> None:
    """Print the `result` of `denoise_files` as text."""
    if "means" in result:
        compared = [row for row in result["pictures"] if metrics.known(row)][:LISTED]
        rows = [*compared, {"input": "mean", **result["means"]}]
        columns = {"picture": [Path(row["input"]).name[:40] for row in rows]}
        for metric in metrics.known(result["means"]):
            columns[metric.heading] = [before_after.format_change(row, metric) for row in rows]
        title = f"noise added: {result['noise']}" if "noise" in result else f"compared with {result['reference']}"
        output.print_table(title, columns)
        print(f"figure: {result['figure']}")
    if noises := sorted(row["noise"] for row in result["pictures"]):
        between = f"{noises[0]:.3f}" if len(noises) == 1 else f"{noises[0]:.3f} to {noises[-1]:.3f}"
        print(f"noise found: standard deviation {between}, of values from 0 to 1")
    of = f" of {result['images'] + len(result['failed']):,}" if result["failed"] else ""
    print(
        f"{result['images']:,}{of} pictures, {result['megapixels']:.1f} megapixels, in {result['seconds']:.1f} s: "
        f"{result['images_per_second']:,.1f} pictures/s, {result['megapixels_per_second']:.2f} megapixels/s "
        f"(and {result['compile_seconds']:.1f} s of compiling)\nwritten: {out}/"
    )


def main() -> None:
    """Denoise as the command line says."""
    arguments = command.parse_arguments(Arguments)
    result = denoise_files(arguments)
    if arguments.json:
        output.print_json(result)
    else:
        print_result(result, arguments.out)
    if result["failed"]:
        sys.exit(command.EXIT_USER_ERROR)


if __name__ == "__main__":
    command.run_main(main, "cut the largest pictures in parts, or name fewer of them at once")
