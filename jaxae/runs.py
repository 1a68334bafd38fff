"""A run's directory: `config.json`, `metrics.jsonl`, `checkpoints/`, `figures/` and, at the end, `summary.json`."""

import contextlib
import dataclasses
import fcntl
import importlib.metadata
import json
import math
import os
import platform
import re
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxae.config import Config, differences
from jaxae.errors import UserError

CONFIG, METRICS, SUMMARY = "config.json", "metrics.jsonl", "summary.json"
FIGURES = ("train_mse", "mse", "psnr", "ssim", "images_per_second", "compile_seconds")  # in each line of METRICS


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which becomes `path` at the end: a reader sees the old file or the new, never half of one."""
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def unfinished(folder: Path, name: str) -> list[str]:
    """The names of what killed processes were `replacing` the file `name` in `folder` with."""
    found = folder.iterdir() if folder.is_dir() else ()
    return [path.name for path in found if re.fullmatch(rf"\.\d+-{re.escape(name)}", path.name)]


def write_json(path: Path, value: Any) -> None:
    """Write `value`, all of it or nothing."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")


def default_directory(experiment: str) -> Path:
    """A new directory below `runs/`, named after the experiment and the time."""
    return Path("runs") / f"{experiment}-{time.strftime('%Y%m%d-%H%M%S')}"


def is_run(run_dir: Path) -> bool:
    """Whether `run_dir` holds a run, finished or not."""
    return (run_dir / CONFIG).exists()


def load_config(run_dir: Path) -> Config:
    """The configuration of the run in `run_dir`."""
    path = run_dir / CONFIG
    if not run_dir.is_dir():
        raise UserError(f"no run in {run_dir}: there is no such directory")
    if not path.exists():
        raise UserError(f"no run in {run_dir}: it holds no {CONFIG}")
    try:
        config = Config.from_json(json.loads(path.read_bytes()))
        config.check()
    except (OSError, ValueError, KeyError, TypeError, RecursionError, UserError) as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else error
        raise UserError(f"{path} is not a configuration of this version of jaxae: {why}") from error
    return config


@contextlib.contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Hold `run_dir`, made where it is missing, for this process and those it works with: another is refused.

    The lock is on the directory itself and goes with the process, however that ends; nothing is left behind.
    """
    import jax

    run_dir.mkdir(parents=True, exist_ok=True)
    if jax.process_index() > 0:  # the first holds it for all
        yield
        return
    held = os.open(run_dir, os.O_RDONLY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another process is writing {run_dir}: wait until it has ended, or name another --run-dir"
            ) from None
        except OSError as error:  # a file system that cannot lock, as some network ones
            warnings.warn(f"{run_dir} cannot be locked ({error.strerror}): start no second run there", stacklevel=2)
        yield
    finally:
        os.close(held)


def check_directory(config: Config) -> None:
    """Refuse a `config.run_dir` that holds another run, other files, or is no directory.

    With ``config.resume`` it may hold a run; it may be missing or empty too, since a run may be stopped before it has
    written anything.
    """
    run_dir = config.run_dir
    if is_run(run_dir):
        if not config.resume:
            raise UserError(f"{run_dir} already holds a run: add --resume to go on with it, or name another --run-dir")
    elif run_dir.exists() and not run_dir.is_dir():
        raise UserError(f"{run_dir} is not a directory: name another --run-dir")
    elif run_dir.exists() and any(path.name not in unfinished(run_dir, CONFIG) for path in run_dir.iterdir()):
        raise UserError(f"{run_dir} is not empty and holds no run: name another --run-dir")


def claim(config: Config) -> None:
    """Make `config.run_dir`, which is `locked`, the run of `config`; one resumed must have the same configuration.

    More epochs of the plain recipe are no other configuration: training goes on.
    """
    check_directory(config)
    if is_run(config.run_dir):
        old = load_config(config.run_dir)
        # another recipe's learning rate depends on the number of epochs
        if config.recipe == old.recipe == "plain" and None not in (old.train.epochs, config.train.epochs):
            epochs = max(old.train.epochs, config.train.epochs)
            old = dataclasses.replace(old, train=dataclasses.replace(old.train, epochs=epochs))
        changed = differences(old, config)
        if changed:
            raise UserError(f"{config.run_dir} holds a run that differs: {'; '.join(changed)}; name another --run-dir")
    config.run_dir.mkdir(parents=True, exist_ok=True)
    for file in (CONFIG, METRICS, SUMMARY):
        for name in unfinished(config.run_dir, file):
            (config.run_dir / name).unlink(missing_ok=True)
    write_json(config.run_dir / CONFIG, config.to_json())


def read_metrics(run_dir: Path) -> list[dict[str, Any]]:
    """The figures of each epoch so far. Raises UserError, which names the line, for what cannot be such figures."""
    path = run_dir / METRICS
    if not path.exists():
        return []
    lines: list[dict[str, Any]] = []
    for number, text in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            line = json.loads(text)
            whole = all(isinstance(line[name], float) and math.isfinite(line[name]) for name in FIGURES)
            whole = whole and type(line["epoch"]) is int and line["epoch"] > (lines[-1]["epoch"] if lines else 0)
        except (ValueError, KeyError, TypeError, RecursionError):
            whole = False
        if not whole:
            raise UserError(f"{path} is damaged in line {number}: mend it, or delete it to go on without old figures")
        lines.append(line)
    return lines


def write_metrics(run_dir: Path, lines: list[dict[str, Any]]) -> None:
    """Replace the figures of all epochs."""
    with replacing(run_dir / METRICS) as temporary:
        temporary.write_text("".join(json.dumps(line, allow_nan=False) + "\n" for line in lines))


def versions() -> dict[str, str]:
    """Versions of Python and of what the figures depend on."""
    packages = ("jaxae", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "tensorflow-datasets")
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}


def device() -> dict[str, Any]:
    """What the program ran on."""
    import jax

    devices = jax.devices()
    return {"platform": devices[0].platform, "kind": devices[0].device_kind, "count": len(devices)}
