"""The place where cases are tried: commands run in this process with training left out, and nothing lost sight of."""

import contextlib
import io
import json
import math
import os
import shutil
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from jaxae import command, evaluate, extensions
from jaxae.data import folder, official, preparation
from jaxae.denoising import tiles
from jaxae.errors import UserError
from jaxae.experiments import running, sweep
from jaxae.runs import directory, summary
from jaxae.runs.scores import Scores
from tests.small_run import write_run
from tests.training_run import make_images

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)
NUMBER = st.one_of(
    st.integers(-(10**30), 10**30), st.floats(), st.sampled_from(["0", "1", "-1", "1e400", "0x10", "1_000"])
)
VALUE = st.one_of(
    NUMBER.map(str), TEXT, st.sampled_from(["", "--", "-", "None", "nan", "inf", "true", "0.1..0.5", "../x"])
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


METRICS = ("train_loss", "images_per_second", "compile_seconds", "psnr", "ssim")  # of an epoch
BROKEN = {"module_that_fails": "1 / 0\n", "module_that_ends": "raise SystemExit(0)\n"}  # by name, their content


@st.composite
def damage(draw, content: bytes) -> bytes:
    """`content` with a bit flipped, bytes put in, or a part missing."""
    kind = draw(st.sampled_from(["flip", "cut", "insert", "replace", "empty"]))
    place = draw(st.integers(0, max(0, len(content) - 1)))
    if kind == "flip" and content:
        return content[:place] + bytes([content[place] ^ 1 << draw(st.integers(0, 7))]) + content[place + 1 :]
    if kind == "cut":
        return content[:place]
    junk = draw(st.binary(max_size=20))
    return {"insert": content[:place] + junk + content[place:], "replace": junk}.get(kind, b"")


def cases(count: int) -> settings:
    """As many generated cases, the same ones every time."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=checks)


class Bench:
    """A folder `work` to try cases in, with a folder of `images` and a `trained` run on them."""

    def __init__(self, work: Path):
        self.work, self.images, self.trained = work, work / "images", work / "trained"
        self.seen: Counter[str] = Counter()  # how the cases of the kind under way have ended
        make_images(self.images)
        write_run(self.trained, "mnist")
        config = json.loads((self.trained / "config.json").read_text())
        config["data"]["name"], config["train"]["batch_size"] = f"folder:{self.images}", 16
        (self.trained / "config.json").write_text(json.dumps(config))
        shutil.copytree(self.trained / "checkpoints" / "3", self.trained / "checkpoints" / "2")
        history = [{"epoch": epoch} | dict.fromkeys(METRICS, 0.5) for epoch in (1, 2, 3)]
        directory.write_history(self.trained, history)
        for name, content in BROKEN.items():
            (work / f"{name}.py").write_text(content)

    def run(self, main: Callable[[], None], *arguments: object, errors: int = 1) -> tuple[int, str]:
        """The status of a command and what it says on stderr: where it is refused, at most `errors` lines.

        Raises AssertionError where a traceback would reach the user, or the status contradicts what is said.
        """
        status, out, err, refused_by_tyro = _run(main, [str(argument) for argument in arguments])
        lines = err.splitlines()
        assert status in (0, 2), (status, lines)
        assert "Traceback" not in err + out
        self.seen["read" if status == 0 else "refused"] += 1
        if status == 2 and refused_by_tyro:  # it has said in a box of its own that this is no command line
            return status, err
        said = [line for line in lines if line.startswith("error: ")]
        assert (status != 0) == (1 <= len(said) <= errors), (status, lines)
        assert all(line.startswith(("error: ", "warning: ")) for line in lines), lines
        return status, err

    def read(
        self, function: Callable[..., Any], *arguments: Any, refusal: type[Exception] = UserError, **options: Any
    ) -> Any:
        """What `function`, which reads a file, returns; None where it raises a `refusal`."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                result = function(*arguments, **options)
        except refusal:
            self.seen["refused"] += 1
            return None
        self.seen["read"] += 1
        return result

    @contextlib.contextmanager
    def kind(self, name: str) -> Iterator[Path]:
        """A folder of its own for a kind of cases, in which they run and beside which nothing may change."""
        own = self.work / name.replace(" ", "-")
        own.mkdir()
        before, running = _listed(self.work, own), children()
        self.seen.clear()
        with contextlib.chdir(own):
            yield own
        after = _listed(self.work, own)
        changed = sorted(path for path in before.keys() | after if before.get(path) != after.get(path))
        assert not changed, f"something was written elsewhere: {changed}"
        assert set(children()) <= set(running), "a process is left"


def _listed(folder: Path, but: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if Path(parent, name) != but]
        for name in names:
            state = os.stat(os.path.join(parent, name), follow_symlinks=False)
            found[os.path.join(parent, name)] = (state.st_size, state.st_mtime_ns)
    return found


def children() -> list[str]:
    """The processes that this one has started and that have not ended."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has ended meanwhile
            found += (task / "children").read_text().split()
    return found


def _run(main: Callable[[], None], arguments: list[str]) -> tuple[int, str, str, bool]:
    out, err, refused_by_tyro = io.StringIO(), io.StringIO(), []
    before, parse = sys.argv, command.parse_arguments

    def parse_and_note(*arguments, **options):
        try:
            return parse(*arguments, **options)
        except SystemExit:
            refused_by_tyro.append(True)
            raise

    sys.argv, status = ["command", *arguments], None
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(),
            pytest.MonkeyPatch.context() as patched,
        ):
            warnings.simplefilter("always")
            patched.setattr(command, "parse_arguments", parse_and_note)
            patched.setattr(extensions, "_imported", [])  # what an earlier case has imported
            patched.setattr(sys, "path", list(sys.path))
            command.run_main(main)
    except SystemExit as end:
        status = 0 if end.code is None else end.code
    finally:
        sys.argv = before
    return status, out.getvalue(), err.getvalue(), bool(refused_by_tyro)


@contextlib.contextmanager
def bench(work: Path) -> Iterator[Bench]:
    """A bench in the empty folder `work`, which is the user's home while nothing is trained, scored or downloaded."""

    def unprepared(name, *_):
        raise UserError(f"{name} is not prepared here")

    means = {"mse": 0.01, "psnr": 20.0, "ssim": 0.5}
    home = work / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("HOME", str(home))
        for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
            patched.delenv(name, raising=False)
        patched.syspath_prepend(work)  # for `BROKEN`
        patched.setattr(sys, "dont_write_bytecode", True)
        patched.setenv("TFDS_DATA_DIR", "/nowhere/to/be/found")
        patched.setattr(running, "train_and_report", lambda *_: {})
        patched.setattr(sweep, "train_members", lambda *_: sys.exit(0))
        patched.setattr(evaluate, "score", lambda *_: Scores({name: np.zeros(1, np.float32) for name in means}))
        patched.setattr(summary, "means_with_noisy", lambda *_: means)
        patched.setattr(tiles, "compile_network", lambda *_: lambda images: images)
        patched.setattr(folder, "CACHE_WORTH", float("inf"))  # on a busy machine any folder is worth keeping
        patched.setattr(official, "why_unreachable", lambda name: "its host cannot be reached")
        patched.setattr(preparation, "_build", unprepared)
        patched.setattr(folder, "CACHE_WORTH", math.inf)  # seconds, which a busy machine may take
        patched.setattr(command, "enable_compilation_cache", lambda: None)
        patched.setattr("jaxae.command.stopping.install", lambda: None)
        patched.setattr("jaxae.command.quiet.quieten", lambda: None)
        patched.setenv("MPLBACKEND", "agg")  # undone after `run_main` has set it
        patched.setattr(warnings, "showwarning", warnings.showwarning)  # restored after `run_main` has set its own
        yield Bench(work)
