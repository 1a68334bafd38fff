"""Pictures on their way through a network: read ahead, restored in batches of tiles that they share, written behind."""

import itertools
import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxae import ops
from jaxae.data.pictures import files
from jaxae.data.pictures.files import PictureFile
from jaxae.data.pictures.picture import Picture, ValueRange
from jaxae.denoising import before_after, reference, tiles
from jaxae.denoising.before_after import Values
from jaxae.denoising.restoring import Restored, restore
from jaxae.errors import UserError
from jaxae.noise import Noise
from jaxae.runs.scores import TEST_KEY
from jaxae.runs.trained import TrainedRun

WAITING = 6  # pictures that are read ahead, and that may wait to be written
SHOWN = 4  # pictures in the figure
GRAIN = 256  # noise is drawn for sizes rounded up to this: few programs are compiled


class _Page(NamedTuple):
    """A page of a picture under way.

    Attributes:
        source: the file's path.
        file: the file as it was read.
        clean: the values to compare with, if any.
        noisy: the values that the network gets.
    """

    source: Path
    file: PictureFile
    clean: Values | None
    noisy: Values


@dataclass
class Pipeline:
    """Denoises picture files, once: `denoise_all`.

    Attributes:
        trained: the network.
        places: the output of each input.
        references: the clean pictures of the inputs that are to be compared.
        noise: added to the inputs first; they are compared with themselves.
        value_range: black and white, see `jaxae.data.pictures.picture.choose_range`.
        strength: see `restoring.restore`.
        rows: what was done, a row for each page, as JSON types.
        columns: the first pictures that were compared, for the figure.
        failed: the inputs that failed, and why.
        notes: what a user should know of some inputs.
        seconds: the time it took without compiling.
        compile_seconds: the time compiling took.
    """

    trained: TrainedRun
    places: dict[Path, Path]
    references: dict[Path, Path]
    noise: Noise | None = None
    value_range: ValueRange | None = None
    strength: float = 1.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    columns: list[before_after.Column] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)
    notes: dict[str, list[Path]] = field(default_factory=dict)
    seconds: float = 0.0
    compile_seconds: float = 0.0

    def denoise_all(self) -> None:
        """Read, restore and write all pictures; an error names the picture that fails, and the others are done."""
        with ThreadPoolExecutor(os.cpu_count()) as pool, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of large pictures and odd metadata
            started = time.perf_counter()
            restored = restore(self.trained, self._read(pool), self.strength, self._compile)
            whole = (list(pages) for _, pages in itertools.groupby(restored, lambda page: page.tag.source))
            for future in _ahead(pool, self._finish, whole):
                rows, columns = future.result()
                self.rows += rows
                self.columns = (self.columns + columns)[:SHOWN]
            self.seconds = time.perf_counter() - started - self.compile_seconds

    def _compile(self, run: TrainedRun, tiling: tiles.Tiling) -> Callable[[np.ndarray], Any]:
        started = time.perf_counter()
        apply = tiles.compile_network(run, tiling)
        self.compile_seconds += time.perf_counter() - started
        return apply

    def _read(self, pool: ThreadPoolExecutor) -> Iterator[tuple[_Page, Values]]:
        futures = _ahead(pool, self._read_file, self.places)
        for number, (source, future) in enumerate(zip(self.places, futures, strict=True)):
            try:
                file, clean_pages = future.result()
            except UserError as error:
                self._fail(source, error)
                continue
            for note in file.notes + file.losses:
                self.notes.setdefault(note, []).append(source)
            for page, picture in enumerate(file.pages):
                values, clean = picture.floats(), clean_pages[page].floats() if clean_pages else None
                if self.noise is not None:
                    values, clean = add_picture_noise(self.noise, number, page, values), values
                yield _Page(source, file, clean, values), values

    def _read_file(self, source: Path) -> tuple[PictureFile, list[Picture]]:
        """Read the picture `source`, and the pages of its reference if it has one."""
        file, clean = files.read_picture(source, self.value_range), self.references.get(source)
        return file, [] if clean is None else reference.read_reference(clean, file, self.value_range)

    def _finish(self, pages: list[Restored]) -> tuple[list[dict[str, Any]], list[before_after.Column]]:
        """Write the restored pages of a file; returns its rows, and what the figure shows of it."""
        source, file, *_ = pages[0].tag
        place, rows, columns = self.places[source], [], []
        try:
            files.write_picture(place, file, [page.values for page in pages])
        except (UserError, OSError) as error:
            about = f"{place}: {(error.strerror or str(error)).lower()}" if isinstance(error, OSError) else error
            self._fail(source, about)
            return [], []
        for number, (page, restored, noise) in enumerate(pages):
            row = {"input": str(source), "output": str(place), "shape": list(restored.shape), "noise": noise}
            if restored is page.noisy:
                self.notes.setdefault("next to no noise was found: the picture is as it was", []).append(source)
            rows.append(row | ({"page": number} if len(pages) > 1 else {}))
            if page.clean is not None:
                rows[-1] |= before_after.measure_restoration(page.clean, page.noisy, restored)
                middles = before_after.cut_middles(page.clean, page.noisy, restored)
                columns = columns or [(source.name, middles, rows[-1])]
        return rows, columns

    def _fail(self, source: Path, reason: object) -> None:
        self.failed.append({"input": str(source), "reason": str(reason)})
        # one write: several threads may have something to say
        print(f"error: {' '.join(str(reason).split())}\n", end="", file=sys.stderr, flush=True)


def add_picture_noise(noise: Noise, number: int, page: int, values: Values) -> Values:
    """Return `values` with noise that depends only on the number of the picture, its page and its size."""
    height, width, _ = values.shape
    rest = [(0, -height % GRAIN), (0, -width % GRAIN), (0, 0)]
    key = jax.random.fold_in(jax.random.key(TEST_KEY), np.uint32((number + (page << 20)) % 2**32))
    return np.asarray(ops.jit(Noise.__call__)(noise, key, jnp.asarray(np.pad(values, rest))))[:height, :width]


def _ahead(pool: ThreadPoolExecutor, function: Callable, arguments: Iterable) -> Iterator[Future]:
    """The futures of `function` for each of `arguments`, in order, a few of them started ahead."""
    waiting: deque[Future] = deque()
    for argument in arguments:
        waiting.append(pool.submit(function, argument))
        if len(waiting) > WAITING:
            yield waiting.popleft()
    yield from waiting
