"""Pictures on their way through a network: read ahead, restored in batches of tiles that they share, written behind."""

import functools
import itertools
import os
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float32

from jaxae import ops
from jaxae.data.pictures import files
from jaxae.data.pictures.files import File
from jaxae.data.pictures.reading import Picture
from jaxae.data.pictures.scientific import Limits
from jaxae.denoise import before_after, reference, tiles
from jaxae.errors import UserError
from jaxae.noise import Noise
from jaxae.run.scores import TEST_KEY, restore
from jaxae.run.trained import TrainedRun

WAITING = 6  # pictures that are read ahead, and that may wait to be written
SHOWN = 4  # pictures in the figure
GRAIN = 256  # noise is drawn for sizes rounded up to this, so that few programs are compiled

Values = Float32[np.ndarray, "height width channels"]


class Read(NamedTuple):
    """A picture, or a page of one, under way, and what it is compared with where noise was added to it."""

    number: int  # of the file
    page: int
    source: Path
    file: File
    clean: Values | None
    noisy: Values


class Pipeline:
    """Denoises the pictures `places`, each file with where it goes, with `corruption` put on them first if it is given.

    `references` are the clean pictures that some of them are compared with.

    After `run`: `rows`, what was done, as JSON types; `failed`, the inputs that could not be, and why; `notes`, what is
    to be said of some of them; `columns` for the figure of those that noise was put on; the seconds it took.
    """

    def __init__(
        self,
        run: TrainedRun,
        corruption: Noise | None,
        places: dict[Path, Path],
        references: dict[Path, Path],
        limits: Limits | None = None,
    ):
        """`limits`: black and white of floating-point values, by default 0 and 1."""
        self._run, self._corruption, self._places = run, corruption, places
        self._references, self._limits = references, limits
        self._done: dict[int, list[dict[str, Any]]] = {}  # by the file's number, a row for each page
        self._shown: dict[int, before_after.Column] = {}
        self._lock = threading.Lock()
        self.failed: list[dict[str, str]] = []
        self.notes: dict[str, list[Path]] = {}
        self.seconds = self.compile_seconds = 0.0

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What was done, in the order of the inputs."""
        return [row for number in sorted(self._done) for row in self._done[number]]

    @property
    def columns(self) -> list[before_after.Column]:
        """The first pictures before and after."""
        return [self._shown[number] for number in sorted(self._shown)]

    def run(self) -> None:
        """Read, restore and write all pictures; one that fails is named, and the others are done."""
        with ThreadPoolExecutor(os.cpu_count()) as pool, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of large pictures and odd metadata
            heads = zip(self._places, _ahead(pool, files.sizes, self._places), strict=True)
            sizes = {source: size for source, head in heads if (size := self._outcome(head, source)) is not None}
            if not sizes:
                return
            started = time.perf_counter()
            tiling = tiles.tiling_for(type(self._run.model), itertools.chain.from_iterable(sizes.values()))
            apply = _compile(self._run, tiling)
            compiled = time.perf_counter()
            channels = self._run.model.image_shape[2]
            restored = tiles.restore_pictures(apply, tiling, channels, self._read(pool, sizes))
            whole = (list(pages) for _, pages in itertools.groupby(restored, lambda result: result[0].number))
            for future in _ahead(pool, self._finish, whole):
                future.result()
            self.seconds, self.compile_seconds = time.perf_counter() - compiled, compiled - started

    def _read(self, pool: ThreadPoolExecutor, sources: Iterable[Path]) -> Iterator[tuple[Read, Values]]:
        for number, (source, future) in enumerate(zip(sources, _ahead(pool, self._read_file, sources), strict=True)):
            if (read := self._outcome(future, source)) is None:
                continue
            file, clean_pages = read
            for note in file.notes:
                self.notes.setdefault(note, []).append(source)
            for page, picture in enumerate(file.pages):
                values, clean = picture.floats(), clean_pages[page].floats() if clean_pages else None
                if self._corruption is not None:
                    values, clean = corrupt(self._corruption, number, page, values), values
                yield Read(number, page, source, file, clean, values), values

    def _read_file(self, source: Path) -> tuple[File, list[Picture]]:
        """The picture `source`, and the pages that it is compared with, if it is."""
        file = files.read(source, self._limits)
        clean = self._references.get(source)
        return file, [] if clean is None else reference.read(clean, file, self._limits)

    def _finish(self, pages: list[tuple[Read, Values]]) -> None:
        """Write the restored pages of a file, and take down what was done."""
        first = pages[0][0]
        place = self._places[first.source]
        try:
            files.write(place, first.file, [restored for _, restored in pages])
        except UserError as error:
            return self._fail(first.source, error)
        except OSError as error:
            return self._fail(first.source, UserError(f"{place}: {(error.strerror or str(error)).lower()}"))
        rows = []
        for item, restored in pages:
            row = {"input": str(item.source), "output": str(place), "shape": list(restored.shape)}
            if len(pages) > 1:
                row["page"] = item.page
            if item.clean is not None:
                row |= before_after.measure(item.clean, item.noisy, restored)
                if item.page == 0:
                    self._show(item, restored)
            rows.append(row)
        self._done[first.number] = rows
        return None

    def _show(self, item: Read, restored: Values) -> None:
        """Keep what the figure shows of a picture, if it is among the first of those that can be shown."""
        with self._lock:  # several threads finish pictures
            if item.number < max(sorted(self._shown)[:SHOWN], default=item.number + 1) or len(self._shown) < SHOWN:
                self._shown[item.number] = before_after.column(item.source.name, item.clean, item.noisy, restored)
            for number in sorted(self._shown)[SHOWN:]:
                del self._shown[number]

    def _outcome(self, future: Future, source: Path) -> Any:
        try:
            return future.result()
        except UserError as error:
            return self._fail(source, error)

    def _fail(self, source: Path, error: UserError) -> None:
        self.failed.append({"input": str(source), "reason": str(error)})
        # in one piece: several threads may have something to say
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        sys.stderr.flush()


def corrupt(corruption: Noise, number: int, page: int, values: Values) -> Values:
    """`values` with noise that depends on nothing but the picture's number among the inputs, its page and its size."""
    height, width, _ = values.shape
    rest = [(0, -height % GRAIN), (0, -width % GRAIN), (0, 0)]
    noisy = ops.jit(_draw)(
        corruption, jnp.asarray(number + (page << 20), jnp.uint32), jnp.asarray(np.pad(values, rest))
    )
    return np.asarray(noisy)[:height, :width]


def _draw(corruption: Noise, number: Array, values: Array) -> Array:
    return corruption(jax.random.fold_in(jax.random.key(TEST_KEY), number), values)


def _compile(run: TrainedRun, tiling: tiles.Tiling) -> Callable[[np.ndarray], Array]:
    """The run's network as one compiled program for batches of tiles."""
    shape = (tiling.batch, tiling.size, tiling.size, run.model.image_shape[2])
    model = run.model.clone(margin=0) if tiling.margin else run.model  # the picture is continued as a whole
    network = ops.jit(restore, model.way, static_argnums=0)
    program = network.lower(model, run.params, jax.ShapeDtypeStruct(shape, jnp.float32)).compile()
    return functools.partial(program, run.params)


def _ahead(pool: ThreadPoolExecutor, function: Callable, arguments: Iterable) -> Iterator[Future]:
    """The futures of `function` for each of `arguments`, in order, a few of them started ahead."""
    waiting: deque[Future] = deque()
    for argument in arguments:
        waiting.append(pool.submit(function, argument))
        if len(waiting) > WAITING:
            yield waiting.popleft()
    yield from waiting
