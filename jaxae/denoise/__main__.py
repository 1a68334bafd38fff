"""Denoise pictures with a trained run.

python -m jaxae.denoise RUN_DIR INPUT... --out DIR [--add-noise | --reference CLEAN]

RUN_DIR may also be `ready` or `ready-digits`: a network that is trained once, on embedded images (see docs/denoise.md).
"""

import json
import os
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from jaxae import command, files, noise
from jaxae.command import machine
from jaxae.config import NoiseOverride, RangeOverride
from jaxae.data.pictures import listing
from jaxae.data.pictures.scientific import parse_range
from jaxae.denoise import before_after, ready, reference
from jaxae.denoise.pipeline import Pipeline
from jaxae.errors import UserError
from jaxae.noise import Noise
from jaxae.run import trained
from jaxae.run.trained import TrainedRun

LISTED = 20  # pictures whose metrics are printed
FIGURE = "before-after.png"


@dataclass(frozen=True)
class Arguments:
    """Denoise pictures with a trained run."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The run's directory; or ready, or ready-digits: a network that is trained once, on embedded images."""
    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Pictures (PNG, JPEG, WebP, TIFF and others), and folders of them."""
    out: Path
    """Folder for the denoised pictures, under the names they have."""
    add_noise: bool = False
    """Add noise to clean pictures first, the run's own or that of --noise.*, and say how well it was removed."""
    noise: NoiseOverride = field(default_factory=NoiseOverride)
    reference: Path | None = None
    """The clean picture, or a folder of clean ones called as the inputs are: say how close what is restored comes."""
    data: RangeOverride = field(default_factory=RangeOverride)
    checkpoint: Literal["latest", "best"] = "latest"
    """Which of the run's checkpoints."""
    overwrite: bool = False
    """Replace what is already in the output folder under such a name."""
    json: bool = False
    """Print a JSON object instead of lines."""


def check_out(out: Path, places: dict[Path, Path], extra: list[Path], overwrite: bool) -> None:
    """Make the folder `out`; UserError where it cannot be written to or something is in the way of `places`."""
    inputs = {source.resolve() for source in places}
    wanted = [*places.values(), *extra]
    for place in wanted:
        if place.resolve() in inputs:
            raise UserError(f"{place} is one of the inputs: name another --out")
    if len(set(wanted)) < len(wanted):
        raise UserError(f"a picture is called {FIGURE}, as the figure of the comparison is: rename it")
    there = [place for place in wanted if place.exists() or place.is_symlink()]
    if there and not overwrite:
        more = f" and {len(there) - 1:,} more are" if len(there) > 1 else " is"
        raise UserError(f"{there[0]}{more} there already: add --overwrite, or name another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out}: {error.strerror.lower()}; name another folder") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise UserError(f"--out {out} is not writable: name another folder")
    files.clear_unfinished(wanted)


def pick_noise(arguments: Arguments, run: TrainedRun) -> Noise | None:
    """The noise to add, if any; where not given, as in training."""
    if not arguments.add_noise:
        if arguments.noise != NoiseOverride():
            raise UserError("--noise.* says which noise to add: give --add-noise too")
        return None
    own = arguments.noise.applied_to(run.config.noise)
    chosen = noise.parse(own.kind, own.factor, own.clip)
    if not chosen.kinds:
        raise UserError("--add-noise: the run was trained without noise; name one with --noise.kind")
    return chosen


def denoise(arguments: Arguments) -> dict[str, Any]:
    """Denoise as `arguments` say; what was done, as JSON types, with the inputs that failed under ``failed``."""
    places, left_out = listing.find(arguments.inputs, arguments.out)
    for line in left_out:
        warnings.warn(line, stacklevel=2)
    figure, references = arguments.out / FIGURE, {}
    if arguments.reference is not None:
        if arguments.add_noise:
            raise UserError("--add-noise takes the inputs for clean ones, and --reference for noisy: leave one out")
        references, lonely = reference.find(arguments.reference, places, arguments.out)
        if lonely:
            warnings.warn(f"without a clean picture of the same name in {arguments.reference}: {lonely}", stacklevel=2)
    compared = arguments.add_noise or bool(references)
    check_out(arguments.out, places, [figure] if compared else [], arguments.overwrite)
    command.enable_compilation_cache()
    run = trained.restore(ready.run_directory(arguments.run_dir), arguments.checkpoint)
    corruption = pick_noise(arguments, run)
    limits = parse_range(arguments.data.range or run.config.data.range)
    batch = Pipeline(run, corruption, places, references, limits)
    batch.run()
    for note, noted in batch.notes.items():
        more = f" and {len(noted) - 1:,} more" if len(noted) > 1 else ""
        warnings.warn(f"{noted[0]}{more}: {note}", stacklevel=2)
    rows = batch.rows
    megapixels = sum(row["shape"][0] * row["shape"][1] for row in rows) / 1e6
    result = {
        "run_dir": str(arguments.run_dir),
        "epoch": run.epoch,
        "device": machine.device(),
        "images": len(rows),
        "megapixels": megapixels,
        "seconds": batch.seconds,
        "images_per_second": len(rows) / batch.seconds if rows else 0.0,
        "megapixels_per_second": megapixels / batch.seconds if rows else 0.0,
        "compile_seconds": batch.compile_seconds,
        "pictures": rows,
        "failed": batch.failed,
        "warnings": [{"inputs": [str(each) for each in noted], "note": note} for note, noted in batch.notes.items()],
    }
    if measured := [row for row in rows if "psnr" in row]:
        said = "noisy" if corruption is None else noise.describe(corruption)
        before_after.save(batch.columns, said, figure)
        result |= {"reference": str(arguments.reference)} if corruption is None else {"noise": said}
        result |= {"means": before_after.means(measured), "figure": str(figure)}
    return result


def report(result: dict[str, Any], out: Path) -> None:
    """Print `result` in lines."""
    if "means" in result:
        listed = [row for row in result["pictures"] if "psnr" in row][:LISTED]
        for row in [*listed, {"input": "mean", **result["means"]}]:
            print(before_after.line(Path(row["input"]).name, row))
        what = f"noise added: {result['noise']}" if "noise" in result else f"compared with {result['reference']}"
        print(f"{what}; figure: {result['figure']}")
    total = result["images"] + len(result["failed"])
    of = f" of {total:,}" if result["failed"] else ""
    print(
        f"{result['images']:,}{of} pictures, {result['megapixels']:.1f} megapixels, in {result['seconds']:.1f} s: "
        f"{result['images_per_second']:,.1f} pictures/s, {result['megapixels_per_second']:.2f} megapixels/s "
        f"(and {result['compile_seconds']:.1f} s of compiling)\nwritten: {out}/"
    )


def main() -> None:
    """Denoise as the command line says."""
    arguments = command.parse(Arguments)
    result = denoise(arguments)
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        report(result, arguments.out)
    if result["failed"]:
        sys.exit(command.EXIT_USER_ERROR)


if __name__ == "__main__":
    command.run_main(main, "cut the largest pictures in parts, or name fewer of them at once")
