"""Pictures on their way through a network: read ahead, restored in batches of tiles that they share, written behind."""

import functools
import os
import sys
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
from jaxae.data import pictures
from jaxae.data.pictures import Picture
from jaxae.denoise import before_after, tiles
from jaxae.errors import UserError
from jaxae.noise import Noise
from jaxae.run.scores import TEST_KEY, restore
from jaxae.run.trained import TrainedRun

WAITING = 6  # pictures that are read ahead, and that may wait to be written
SHOWN = 4  # pictures in the figure
GRAIN = 256  # noise is drawn for sizes rounded up to this, so that few programs are compiled

Values = Float32[np.ndarray, "height width channels"]


class Read(NamedTuple):
    """A picture under way: its number, its file, and what it is compared with where noise was added to it."""

    number: int
    source: Path
    picture: Picture
    clean: Values | None
    noisy: Values


class Pipeline:
    """Denoises the pictures `places`, each file with where it goes, with `corruption` put on them first if it is given.

    After `run`: `rows`, what was done, as JSON types; `failed`, the inputs that could not be, and why; `columns` for
    the figure of those that noise was put on; the seconds it took.
    """

    def __init__(self, run: TrainedRun, corruption: Noise | None, places: dict[Path, Path]):
        self._run, self._corruption, self._places = run, corruption, places
        self._done: dict[int, dict[str, Any]] = {}
        self._shown: dict[int, before_after.Column] = {}
        self.failed: list[dict[str, str]] = []
        self.seconds = self.compile_seconds = 0.0

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What was done, in the order of the inputs."""
        return [self._done[number] for number in sorted(self._done)]

    @property
    def columns(self) -> list[before_after.Column]:
        """The first pictures before and after."""
        return [self._shown[number] for number in sorted(self._shown)]

    def run(self) -> None:
        """Read, restore and write all pictures; one that fails is named, and the others are done."""
        with ThreadPoolExecutor(os.cpu_count()) as pool, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of large pictures and odd metadata
            heads = zip(self._places, _ahead(pool, pictures.size, self._places), strict=True)
            sizes = {source: size for source, head in heads if (size := self._outcome(head, source)) is not None}
            if not sizes:
                return
            started = time.perf_counter()
            tiling = tiles.tiling_for(type(self._run.model), sizes.values())
            apply = _compile(self._run, tiling)
            compiled = time.perf_counter()
            channels = self._run.model.image_shape[2]
            restored = tiles.restore_pictures(apply, tiling, channels, self._read(pool, sizes))
            for future in _ahead(pool, lambda result: self._finish(*result), restored):
                future.result()
            self.seconds, self.compile_seconds = time.perf_counter() - compiled, compiled - started

    def _read(self, pool: ThreadPoolExecutor, sources: Iterable[Path]) -> Iterator[tuple[Read, Values]]:
        for number, (source, future) in enumerate(zip(sources, _ahead(pool, pictures.read, sources), strict=True)):
            if (picture := self._outcome(future, source)) is None:
                continue
            values = picture.floats()
            if self._corruption is None:
                yield Read(number, source, picture, None, values), values
            else:
                noisy = corrupt(self._corruption, number, values)
                yield Read(number, source, picture, values, noisy), noisy

    def _finish(self, item: Read, restored: Values) -> None:
        place = self._places[item.source]
        row = {"input": str(item.source), "output": str(place), "shape": list(restored.shape)}
        if item.clean is not None:
            row |= before_after.measure(item.clean, item.noisy, restored)
            if item.number < SHOWN:
                self._shown[item.number] = before_after.column(item.source.name, item.clean, item.noisy, restored)
        try:
            pictures.write(place, item.picture, restored)
        except OSError as error:
            raise UserError(f"{place}: {(error.strerror or str(error)).lower()}; nothing more is written") from error
        self._done[item.number] = row

    def _outcome(self, future: Future, source: Path) -> Any:
        try:
            return future.result()
        except UserError as error:
            self.failed.append({"input": str(source), "reason": str(error)})
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
            return None


def corrupt(corruption: Noise, number: int, values: Values) -> Values:
    """`values` with noise that depends on nothing but the picture's number in the order of the inputs, and its size."""
    height, width, _ = values.shape
    rest = [(0, -height % GRAIN), (0, -width % GRAIN), (0, 0)]
    noisy = ops.jit(_draw)(corruption, jnp.asarray(number, jnp.uint32), jnp.asarray(np.pad(values, rest)))
    return np.asarray(noisy)[:height, :width]


def _draw(corruption: Noise, number: Array, values: Array) -> Array:
    return corruption(jax.random.fold_in(jax.random.key(TEST_KEY), number), values)


def _compile(run: TrainedRun, tiling: tiles.Tiling) -> Callable[[np.ndarray], Array]:
    """The run's network as one compiled program for batches of tiles."""
    shape = (tiling.batch, tiling.size, tiling.size, run.model.image_shape[2])
    network = ops.jit(restore, run.model.way, static_argnums=0)
    program = network.lower(run.model, run.params, jax.ShapeDtypeStruct(shape, jnp.float32)).compile()
    return functools.partial(program, run.params)


def _ahead(pool: ThreadPoolExecutor, function: Callable, arguments: Iterable) -> Iterator[Future]:
    """The futures of `function` for each of `arguments`, in order, a few of them started ahead."""
    waiting: deque[Future] = deque()
    for argument in arguments:
        waiting.append(pool.submit(function, argument))
        if len(waiting) > WAITING:
            yield waiting.popleft()
    yield from waiting
