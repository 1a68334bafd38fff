"""A run's directory: `config.json` (what the run is), `launch.json` (how it was last launched), `data.json` (the
fingerprint of its data), `metrics.jsonl` (its history, a record for each epoch), `checkpoints/`, `figures/` and, at the
end, `summary.json` and `report.html`.
"""

import atexit
import contextlib
import dataclasses
import itertools
import json
import os
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import jax
import msgspec

from jaxae import extensions, files
from jaxae.config import Config, Launch, differences
from jaxae.errors import UserError
from jaxae.runs import fingerprint
from jaxae.runs.fingerprint import Fingerprint

CONFIG, LAUNCH, HISTORY, SUMMARY = "config.json", "launch.json", "metrics.jsonl", "summary.json"
FILES = (CONFIG, LAUNCH, HISTORY, SUMMARY, fingerprint.FILE)
REQUIRED = {"train_loss", "images_per_second", "compile_seconds"}  # values of each epoch, besides its metrics
RESOLVED = ("epochs", "batch_size", "learning_rate", "reflect_padding", "lsuv")  # which a recipe may leave open
FORMAT = 1  # of a run's directory; what an older version wrote stays readable

Settings = TypeVar("Settings", Config, Launch)


def default_run_dir(experiment: str) -> Path:
    """Create a directory below `runs/`, named after the experiment and the time; no other run gets it."""
    stem = f"{experiment}-{time.strftime('%Y%m%d-%H%M%S')}"
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    run_dir = next(path for path in map(Path("runs").joinpath, names) if _is_created(path))
    atexit.register(_remove_if_empty, run_dir.absolute())
    return run_dir


def _remove_if_empty(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.rmdir()


def _is_created(path: Path) -> bool:
    with contextlib.suppress(FileExistsError):
        path.mkdir(parents=True)
        return True
    return False


def is_run(run_dir: Path) -> bool:
    """Return whether `run_dir` holds a run, finished or not."""
    return (run_dir / CONFIG).exists()


def load_config(run_dir: Path) -> Config:
    """Return the configuration of the run in `run_dir`.

    Raises:
        UserError: if there is no run, if this version cannot read it, or if it needs modules that were not imported.
    """
    if not is_run(run_dir):
        reason = f"it has no {CONFIG}" if run_dir.is_dir() else "there is no such directory"
        raise UserError(f"no run in {run_dir}: {reason}")
    return parse_config(run_dir / CONFIG)


def parse_config(path: Path, content: str | None = None) -> Config:
    """Return the configuration of a run in the file `path`, or in its `content`.

    Raises:
        UserError: if this version cannot read it, or if it needs modules that were not imported.
    """
    config = _load(path, Config, content)
    resolved = {"network": config.network, "data.name": config.data.name, "noise.kind": config.noise.kind}
    resolved |= {f"train.{name}": getattr(config.train, name) for name in RESOLVED}
    missing = [name for name, value in resolved.items() if value in (None, "auto")]
    if missing:
        raise UserError(f"{path} is not the configuration of a run: {missing[0]} is missing")
    return config


def load_launch(run_dir: Path) -> Launch:
    """Return how the run in `run_dir` was last launched; the defaults if that is not on record."""
    path = run_dir / LAUNCH
    return _load(path, Launch) if path.exists() else Launch()


def _load(path: Path, kind: type[Settings], content: str | None = None) -> Settings:
    try:
        record = dict(json.loads(path.read_bytes() if content is None else content))
        version_there, format_there = record.pop("jaxae", "of an unknown version"), record.pop("format", "unknown")
        remedy = f"use jaxae {version_there}, which wrote it, or train again"
        if type(format_there) is not int or format_there != FORMAT:  # true equals 1
            raise UserError(f"its format is {format_there}, and this version reads {FORMAT}; {remedy}")
        extensions.require_extensions(record.pop("imports", ()))
        if unknown := set(_names(record)).difference(_names(dataclasses.asdict(kind()))):
            raise UserError(f"it has the unknown field {min(unknown)}; {remedy}")
        return msgspec.convert(record, kind, dec_hook=lambda kind, value: kind(value))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _names(record: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in record.items():
        yield prefix + name
        if isinstance(value, Mapping):
            yield from _names(value, f"{prefix}{name}.")


def as_record(settings: Config | Launch) -> dict[str, Any]:
    """Return what `config.json` or `launch.json` holds."""
    fields = json.loads(json.dumps(dataclasses.asdict(settings), default=str))
    return {"format": FORMAT, "jaxae": version("jaxae"), "imports": extensions.imported()} | fields


@contextlib.contextmanager
def locked_run(run_dir: Path) -> Iterator[None]:
    """Lock `run_dir`, created if it is missing, for this process and those that it works with.

    Raises:
        UserError: if another process has locked it.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        if jax.process_index() == 0:  # process 0 holds it for all
            try:
                held.enter_context(files.locked(run_dir))
            except BlockingIOError as error:
                holder = f" ({error.strerror}; delete {error.filename} if it has ended)" if error.filename else ""
                raise UserError(
                    f"another process is writing {run_dir}{holder}: wait until it has ended, or name another `run_dir`"
                ) from None
        yield


def check_run_dir(run_dir: Path, resume: bool) -> None:
    """Refuse a `run_dir` that holds another run or other files, or is no directory.

    With `resume` it may hold a run; it may also be missing or empty, since a run may be stopped before it writes
    anything.
    """
    path = os.path.abspath(run_dir)
    if not path.isprintable() or set(path) & set("[\\"):  # Orbax would write checkpoints that cannot be read
        reason = "it has an unprintable character, [ or \\, and checkpoints cannot be kept there"
        raise UserError(f"`run_dir` {path}: {reason}: name another `run_dir`")
    if is_run(run_dir):
        if not resume:
            raise UserError(f"{run_dir} already holds a run: add `resume` to continue it, or name another `run_dir`")
    elif run_dir.exists() and not run_dir.is_dir():
        raise UserError(f"{run_dir} is not a directory: name another `run_dir`")
    elif run_dir.exists() and set(run_dir.iterdir()).difference(
        [run_dir / files.LOCK, *files.unfinished(run_dir / name for name in FILES)]
    ):
        raise UserError(f"{run_dir} is not empty and holds no run: name another `run_dir`")


def resolve_launch(launch: Launch, experiment: str) -> Launch:
    """Return `launch` with a run directory and absolute paths: the run may be used from elsewhere.

    Raises:
        UserError: see `check_run_dir`.
    """
    run_dir = launch.run_dir or default_run_dir(experiment)
    check_run_dir(run_dir, launch.resume)
    place = dataclasses.replace(launch.data, dir=absolute(launch.data.dir))
    return dataclasses.replace(launch, run_dir=run_dir, data=place)


def absolute(path: Path | None) -> Path | None:
    """Return `path` with the home directory expanded and made absolute."""
    return None if path is None else Path(os.path.abspath(path.expanduser()))


def claim(
    run_dir: Path,
    config: Config,
    launch: Launch,
    data: Fingerprint | None = None,
    *,
    may_prolong: bool = False,
    may_move: bool = False,
) -> None:
    """Make `run_dir`, which is locked, the directory of a run; a run to be resumed must have the same configuration.

    Args:
        run_dir: the directory.
        config: what the run is.
        launch: how it is launched.
        data: the fingerprint of its data.
        may_prolong: whether a resumed run may get more epochs.
        may_move: whether a resumed run's data set may have another name, if its fingerprint is the same.

    Raises:
        UserError: if the directory holds another run, or one that was trained on other images.
    """
    check_run_dir(run_dir, launch.resume)  # again, now that no other process writes there
    if is_run(run_dir):
        old = load_config(run_dir)
        if data is not None and (before := fingerprint.read_fingerprint(run_dir)):
            if change := fingerprint.describe_change(before, data):
                raise UserError(
                    f"{config.data.name} is not what {run_dir} was trained on ({change}): put back what was there, or "
                    f"train a new run from its weights, with `init_from` {run_dir} and another `run_dir`"
                )
            if may_move:
                old = dataclasses.replace(old, data=dataclasses.replace(old.data, name=config.data.name))
        if may_prolong and (config.train.epochs or 0) > (old.train.epochs or 0):
            old = dataclasses.replace(old, train=dataclasses.replace(old.train, epochs=config.train.epochs))
        if changed := differences(old, config):
            raise UserError(f"{run_dir} holds a run that differs: {'; '.join(changed)}; name another `run_dir`")
    run_dir.mkdir(parents=True, exist_ok=True)
    outdated = [run_dir / name for name in (SUMMARY, "report.html")]  # as soon as the run goes on
    for path in [*outdated, *files.unfinished(run_dir / name for name in FILES)]:
        path.unlink(missing_ok=True)
    files.write_json(run_dir / LAUNCH, as_record(dataclasses.replace(launch, resume=False, run_dir=None)))
    if data is not None:
        fingerprint.write_fingerprint(run_dir, data)
    files.write_json(run_dir / CONFIG, as_record(config))
    files.sync(run_dir.parent)  # which holds the run's own name


def read_history(run_dir: Path) -> list[dict[str, Any]]:
    """Return the metrics of each epoch so far, whatever metrics they are; without a last line that was cut off.

    Raises:
        UserError: if a line is not a record of finite numbers with an ascending epoch.
    """
    path = run_dir / HISTORY
    if not path.exists():
        return []
    history: list[dict[str, Any]] = []
    lines = path.read_bytes().splitlines(keepends=True)
    for number, text in enumerate(lines, start=1):
        try:
            record = msgspec.json.decode(text, type=dict[str, int | float])  # which refuses NaN and true
            whole = type(record["epoch"]) is int and record.keys() >= REQUIRED
            whole = whole and record["epoch"] > (history[-1]["epoch"] if history else 0)
        except (ValueError, KeyError, RecursionError):
            record, whole = {}, False
            if number == len(lines) and text.startswith(b"{") and not text.endswith(b"\n"):  # of a killed run
                break
        if not whole:
            raise UserError(f"{path} is damaged in line {number}: repair it, or delete it to go on without old metrics")
        history.append(record)
    return history


def write_history(run_dir: Path, history: list[dict[str, Any]]) -> None:
    """Replace the metrics of all epochs."""
    files.write_text(run_dir / HISTORY, _lines(history))


def append_history(run_dir: Path, records: list[dict[str, Any]]) -> None:
    """Add the metrics of further epochs."""
    path = run_dir / HISTORY
    try:
        with path.open("a") as file:
            file.write(_lines(records))
    except OSError as error:  # such as a full disk: Python does not name the file
        error.filename = error.filename or str(path)
        raise


def _lines(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record, allow_nan=False) + "\n" for record in records)


def read_summary(run_dir: Path) -> dict[str, Any]:
    """Return the run's summary; empty if it has none, since it did not finish.

    Raises:
        UserError: if it is damaged.
    """
    path = run_dir / SUMMARY
    return files.read_json(path, dict[str, Any], "delete it to go on without") if path.exists() else {}
