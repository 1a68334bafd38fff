"""A run's directory: `config.json` (what the run is), `launch.json` (how it was last launched), `data.json` (what it
was trained on), `metrics.jsonl` (its history, a record for each epoch), `checkpoints/`, `figures/` and, at the end,
`summary.json` and `report.html`.
"""

import contextlib
import dataclasses
import json
import math
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
import msgspec

from jaxae import files
from jaxae.config import Config, Launch, differences, flags
from jaxae.errors import UserError
from jaxae.run import trained_on
from jaxae.run.trained_on import TrainedOn

CONFIG, LAUNCH, HISTORY, SUMMARY = "config.json", "launch.json", "metrics.jsonl", "summary.json"
METRICS = {"train_mse", "mse", "psnr", "ssim", "images_per_second", "compile_seconds"}  # in each record of the history
METRICS_ALONE = {"train_mse", "loss", "images_per_second", "compile_seconds"}  # where no clean images are known

Settings = TypeVar("Settings", Config, Launch)


def default(experiment: str) -> Path:
    """A new directory below `runs/`, named after the experiment and the time."""
    return Path("runs") / f"{experiment}-{time.strftime('%Y%m%d-%H%M%S')}"


def is_run(run_dir: Path) -> bool:
    """Whether `run_dir` holds a run, finished or not."""
    return (run_dir / CONFIG).exists()


def load_config(run_dir: Path) -> Config:
    """The configuration of the run in `run_dir`. Raises UserError where there is none that this version wrote."""
    if not run_dir.is_dir():
        raise UserError(f"no run in {run_dir}: there is no such directory")
    if not is_run(run_dir):
        raise UserError(f"no run in {run_dir}: it holds no {CONFIG}")
    config = _load(run_dir / CONFIG, Config)
    settled = flags(config.train)  # a run has settled all of these
    needed = "--epochs", "--batch-size", "--learning-rate", "--margin"
    left_open = [name for name in needed if settled[name] is None]
    if left_open:
        raise UserError(f"{run_dir / CONFIG} is not the configuration of a run: it leaves {left_open[0][2:]} open")
    return config


def load_launch(run_dir: Path) -> Launch:
    """How the run in `run_dir` was last launched; the defaults where that is not on record."""
    path = run_dir / LAUNCH
    return _load(path, Launch) if path.exists() else Launch()


def _load(path: Path, kind: type[Settings]) -> Settings:
    try:
        record = json.loads(path.read_bytes())
        settings = msgspec.convert(record, kind, dec_hook=lambda kind, value: kind(value))
        if _record(settings) != record:  # a field that is missing, or not known
            raise ValueError(f"its fields are not {', '.join(field.name for field in dataclasses.fields(kind))}")
    except (OSError, ValueError, TypeError, RecursionError, UserError) as error:
        raise UserError(f"{path} is not a configuration of this version of jaxae: {error}") from error
    return settings


def _record(settings: Config | Launch) -> dict[str, Any]:
    return json.loads(json.dumps(dataclasses.asdict(settings), default=str))


@contextlib.contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Hold `run_dir`, made where it is missing, for this process and those it works with: another is refused.

    The lock is on the directory itself and goes with the process, however that ends; nothing is left behind.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        if jax.process_index() == 0:  # the first holds it for all
            try:
                held.enter_context(files.locked(run_dir))
            except BlockingIOError:
                raise UserError(
                    f"another process is writing {run_dir}: wait until it has ended, or name another --run-dir"
                ) from None
            except OSError as error:  # a file system that cannot lock, as some network ones
                warnings.warn(f"{run_dir} cannot be locked ({error.strerror}): start no second run there", stacklevel=2)
        yield


def check(launch: Launch) -> None:
    """Refuse a `launch.run_dir` that holds another run, other files, or is no directory.

    With ``launch.resume`` it may hold a run; it may be missing or empty too, since a run may be stopped before it has
    written anything.
    """
    run_dir = launch.run_dir
    if is_run(run_dir):
        if not launch.resume:
            raise UserError(f"{run_dir} already holds a run: add --resume to go on with it, or name another --run-dir")
    elif run_dir.exists() and not run_dir.is_dir():
        raise UserError(f"{run_dir} is not a directory: name another --run-dir")
    elif run_dir.exists() and set(run_dir.iterdir()) - _unfinished(run_dir):
        raise UserError(f"{run_dir} is not empty and holds no run: name another --run-dir")


def _unfinished(run_dir: Path) -> set[Path]:
    return {
        path for name in (CONFIG, LAUNCH, HISTORY, SUMMARY, trained_on.FILE) for path in files.unfinished(run_dir, name)
    }


def claim(config: Config, launch: Launch, images: TrainedOn | None = None) -> None:
    """Make `launch.run_dir`, which is `locked`, the run of `config`; one resumed must have the same configuration.

    More epochs of the plain recipe are no other configuration: training goes on. Nor is another name of a folder that
    holds the same `images`. UserError where the images are not those that the run was trained on.
    """
    check(launch)  # once more, now that no one else writes there
    run_dir = launch.run_dir
    if is_run(run_dir):
        old = load_config(run_dir)
        if images is not None and (before := trained_on.read(run_dir)):
            if change := trained_on.changed(before, images):
                raise UserError(
                    f"{config.data.name} is not what {run_dir} was trained on ({change}): put back what was there, or "
                    f"train a new run from its weights, with --init-from {run_dir} and another --run-dir"
                )
            kinds = {name.partition(":")[0] for name in (old.data.name, config.data.name)}
            if kinds in ({"folder"}, {"pairs"}):  # it has moved
                old = dataclasses.replace(old, data=dataclasses.replace(old.data, name=config.data.name))
        # another recipe's learning rate depends on the number of epochs
        if config.recipe == old.recipe == "plain" and config.train.epochs > old.train.epochs:
            old = dataclasses.replace(old, train=dataclasses.replace(old.train, epochs=config.train.epochs))
        if changed := differences(old, config):
            raise UserError(f"{run_dir} holds a run that differs: {'; '.join(changed)}; name another --run-dir")
    run_dir.mkdir(parents=True, exist_ok=True)
    for path in _unfinished(run_dir):
        path.unlink(missing_ok=True)
    here = dataclasses.replace(launch, resume=False, run_dir=None)
    files.write_json(run_dir / LAUNCH, _record(here))
    if images is not None:
        trained_on.write(run_dir, images)
    files.write_json(run_dir / CONFIG, _record(config))
    files.sync(run_dir.parent)  # which knows the run's own name


def read_history(run_dir: Path) -> list[dict[str, Any]]:
    """The metrics of each epoch so far. Raises UserError, which names the line, for what cannot be such metrics."""
    path = run_dir / HISTORY
    if not path.exists():
        return []
    history: list[dict[str, Any]] = []
    for number, text in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            record = json.loads(text)
            names = METRICS_ALONE if "loss" in record else METRICS
            whole = all(isinstance(record[name], float) and math.isfinite(record[name]) for name in names)
            whole = whole and type(record["epoch"]) is int
            whole = whole and record["epoch"] > (history[-1]["epoch"] if history else 0)
        except (ValueError, KeyError, TypeError, RecursionError):
            whole = False
        if not whole:
            raise UserError(f"{path} is damaged in line {number}: mend it, or delete it to go on without old metrics")
        history.append(record)
    return history


def write_history(run_dir: Path, history: list[dict[str, Any]]) -> None:
    """Replace the metrics of all epochs."""
    files.write_text(run_dir / HISTORY, "".join(json.dumps(record, allow_nan=False) + "\n" for record in history))


def read_summary(run_dir: Path) -> dict[str, Any]:
    """The run's summary; empty where it has none, since it was stopped before its end. Raises UserError if damaged."""
    path = run_dir / SUMMARY
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is no summary of a run: {error}; remove it to do without") from error
