"""Denoise pictures with a trained run.

python -m jaxae.denoise RUN_DIR INPUT... --out DIR [--add-noise]

RUN_DIR may also be `ready` or `ready-digits`: a network that is trained once, on drawn images (see docs/denoise.md).
"""

import functools
import itertools
import json
import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jaxtyping import Float32

from jaxae import cli, comparison, noise, ops, ready, runs, tiles
from jaxae.data import listing, picture_files
from jaxae.data.picture_files import File
from jaxae.errors import UserError
from jaxae.evaluate import NoiseArguments
from jaxae.noise import Noise
from jaxae.restore import TrainedRun, restore_run
from jaxae.scores import TEST_KEY

WAITING = 6  # pictures that are read ahead, and that may wait to be written
SHOWN = 4  # pictures in the figure
LISTED = 20  # pictures whose figures are printed
FIGURE = "before-after.png"
_GRAIN = 256  # noise is drawn for sizes rounded up to this, so that few programs are compiled

Values = Float32[np.ndarray, "height width channels"]


@dataclass(frozen=True)
class Arguments:
    """Denoise pictures with a trained run."""

    run_dir: Annotated[Path, tyro.conf.Positional]
    """The run's directory; or ready, or ready-digits: a network that is trained once, on drawn images."""
    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Pictures (PNG, JPEG, WebP, TIFF and others), and folders of them."""
    out: Path
    """Folder for the denoised pictures, under the names they have."""
    add_noise: bool = False
    """Add noise to clean pictures first, the run's own or that of --noise.*, and say how well it was removed."""
    noise: NoiseArguments = field(default_factory=NoiseArguments)
    checkpoint: Literal["latest", "best"] = "latest"
    """Which of the run's checkpoints."""
    overwrite: bool = False
    """Replace what is already in the output folder under such a name."""
    json: bool = False
    """Print a JSON object instead of lines."""


class Read(NamedTuple):
    """A picture, or a page of one, under way, and what it is compared with where noise was added to it."""

    number: int  # of the file
    page: int
    source: Path
    file: File
    clean: Values | None
    noisy: Values


def check_out(out: Path, places: dict[Path, Path], extra: list[Path], overwrite: bool) -> None:
    """Make the folder `out`; UserError where it cannot be written to or something is in the way of `places`."""
    inputs = {source.resolve() for source in places}
    wanted = [*places.values(), *extra]
    for place in wanted:
        if place.resolve() in inputs:
            raise UserError(f"{place} is one of the inputs: name another --out")
    if len(set(wanted)) < len(wanted):
        raise UserError(f"a picture is called {FIGURE}, as the figure of --add-noise is: rename it")
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


def pick_noise(arguments: Arguments, run: TrainedRun) -> Noise | None:
    """The noise to add, if any; where not given, as in training."""
    if not arguments.add_noise:
        if arguments.noise != NoiseArguments():
            raise UserError("--noise.* says which noise to add: give --add-noise too")
        return None
    chosen = arguments.noise.resolve(run.config.noise)
    if not chosen.kinds:
        raise UserError("--add-noise: the run was trained without noise; name one with --noise.kind")
    return chosen


@functools.partial(jax.jit, static_argnums=0)
def _draw(corruption: Noise, number: jax.Array, values: jax.Array) -> jax.Array:
    return corruption(jax.random.fold_in(jax.random.key(TEST_KEY), number), values)


def corrupt(corruption: Noise, number: int, page: int, values: Values) -> Values:
    """`values` with noise that depends on nothing but the picture's number among the inputs, its page and size."""
    height, width, _ = values.shape
    rest = [(0, -height % _GRAIN), (0, -width % _GRAIN), (0, 0)]
    noisy = _draw(corruption, jnp.asarray(number + (page << 20), jnp.uint32), jnp.asarray(np.pad(values, rest)))
    return np.asarray(noisy)[:height, :width]


def compile_network(run: TrainedRun, tiling: tiles.Tiling) -> Callable[[np.ndarray], jax.Array]:
    """The run's network as one compiled program for batches of tiles."""
    channels = run.model.image_shape[2]
    shape = jax.ShapeDtypeStruct((tiling.batch, tiling.size, tiling.size, channels), jnp.float32)
    options = ops.compiler_options(run.config.train.ops)
    network = jax.jit(lambda params, images: run.model.apply({"params": params}, images), compiler_options=options)
    return functools.partial(network.lower(run.params, shape).compile(), run.params)


def ahead(pool: ThreadPoolExecutor, function: Callable, arguments: Any) -> Iterator[Future]:
    """The futures of `function` for each of `arguments`, in order, a few of them started ahead."""
    waiting: deque[Future] = deque()
    for argument in arguments:
        waiting.append(pool.submit(function, argument))
        if len(waiting) > WAITING:
            yield waiting.popleft()
    yield from waiting


def denoise(arguments: Arguments) -> dict[str, Any]:
    """Denoise as `arguments` say; what was done, as JSON types, with the inputs that failed under ``failed``."""
    places, left_out = listing.find(arguments.inputs, arguments.out)
    for line in left_out:
        warnings.warn(line, stacklevel=2)
    figure = [arguments.out / FIGURE] if arguments.add_noise else []
    check_out(arguments.out, places, figure, arguments.overwrite)
    cli.enable_compilation_cache()
    run = restore_run(ready.run_directory(arguments.run_dir), arguments.checkpoint)
    corruption = pick_noise(arguments, run)

    failed: list[dict[str, str]] = []
    done: dict[int, list[dict[str, Any]]] = {}
    notes: dict[str, list[Path]] = {}
    shown: dict[int, comparison.Column] = {}

    def fail(source: Path, error: UserError) -> None:
        failed.append({"input": str(source), "reason": str(error)})
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)

    def outcome(future: Future, source: Path) -> Any:
        try:
            return future.result()
        except UserError as error:
            return fail(source, error)

    with ThreadPoolExecutor(os.cpu_count()) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of large pictures and odd metadata
        sizes = zip(places, ahead(pool, picture_files.sizes, places), strict=True)
        sizes = {source: size for source, future in sizes if (size := outcome(future, source)) is not None}
        tiling = tiles.tiling_for(run.config.model, itertools.chain.from_iterable(sizes.values()))
        started = time.perf_counter()
        apply = compile_network(run, tiling) if sizes else None
        compiled = time.perf_counter()

        def read() -> Iterator[tuple[Read, Values]]:
            for number, (source, future) in enumerate(zip(sizes, ahead(pool, picture_files.read, sizes), strict=True)):
                if (file := outcome(future, source)) is None:
                    continue
                for note in file.notes:
                    notes.setdefault(note, []).append(source)
                for page, picture in enumerate(file.pages):
                    values = picture.floats()
                    noisy = values if corruption is None else corrupt(corruption, number, page, values)
                    clean = None if corruption is None else values
                    yield Read(number, page, source, file, clean, noisy), noisy

        def finish(results: list[tuple[Read, Values]]) -> None:
            first = results[0][0]
            place = places[first.source]
            try:
                picture_files.write(place, first.file, [restored for _, restored in results])
            except UserError as error:
                return fail(first.source, error)
            except OSError as error:
                return fail(first.source, UserError(f"{place}: {(error.strerror or str(error)).lower()}"))
            rows = []
            for item, restored in results:
                row = {"input": str(item.source), "output": str(place), "shape": list(restored.shape)}
                if len(results) > 1:
                    row["page"] = item.page
                if item.clean is not None:
                    row |= comparison.figures(item.clean, item.noisy, restored)
                    if item.number < SHOWN and item.page == 0:
                        shown[item.number] = comparison.column(item.source.name, item.clean, item.noisy, restored)
                rows.append(row)
            done[first.number] = rows

        channels = run.model.image_shape[2]
        restored = tiles.restore_pictures(apply, tiling, channels, read()) if sizes else ()
        files = (list(pages) for _, pages in itertools.groupby(restored, lambda result: result[0].number))
        for future in ahead(pool, finish, files):
            future.result()
        seconds = time.perf_counter() - compiled

    for note, noted in notes.items():
        more = f" and {len(noted) - 1:,} more" if len(noted) > 1 else ""
        warnings.warn(f"{noted[0]}{more}: {note}", stacklevel=2)
    rows = [row for number in sorted(done) for row in done[number]]
    megapixels = sum(row["shape"][0] * row["shape"][1] for row in rows) / 1e6
    result = {
        "run_dir": str(arguments.run_dir),
        "epoch": run.epoch,
        "device": runs.device(),
        "images": len(rows),
        "megapixels": megapixels,
        "seconds": seconds,
        "images_per_second": len(rows) / seconds,
        "megapixels_per_second": megapixels / seconds,
        "compile_seconds": compiled - started,
        "pictures": rows,
        "failed": failed,
        "warnings": [{"inputs": [str(source) for source in noted], "note": note} for note, noted in notes.items()],
    }
    if corruption is not None and rows:
        comparison.save([shown[number] for number in sorted(shown)], noise.describe(corruption), figure[0])
        result |= {"noise": noise.describe(corruption), "means": comparison.means(rows), "figure": str(figure[0])}
    return result


def report(result: dict[str, Any], out: Path) -> None:
    """Print `result` in lines."""
    if "noise" in result:
        listed = result["pictures"][:LISTED]
        for row in [*listed, {"input": "mean", **result["means"]}]:
            print(comparison.line(Path(row["input"]).name, row))
        print(f"noise added: {result['noise']}; figure: {result['figure']}")
    total = result["images"] + len(result["failed"])
    of = f" of {total:,}" if result["failed"] else ""
    print(
        f"{result['images']:,}{of} pictures, {result['megapixels']:.1f} megapixels, in {result['seconds']:.1f} s: "
        f"{result['images_per_second']:,.1f} pictures/s, {result['megapixels_per_second']:.2f} megapixels/s "
        f"(and {result['compile_seconds']:.1f} s of compiling)\nwritten: {out}/"
    )


def main() -> None:
    """Denoise as the command line says."""
    arguments = cli.parse(Arguments)
    result = denoise(arguments)
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        report(result, arguments.out)
    if result["failed"]:
        sys.exit(cli.EXIT_USER_ERROR)


if __name__ == "__main__":
    cli.run_main(main)
