"""Put chosen faults into jaxae, one at a time, and see whether the tests of their modules fail.

    python -m tests.stress.faults --record tests/stress/records/faults.json [--only MODULE ...] [--resume] [--trust]

`faults.toml` lists the faults. Each goes into a copy of the checkout, where `pytest -x` runs the module's tests in a
process of its own, forked from one that has imported JAX and other packages already. Slow tests are left out. First the
tests must pass without a fault, unless `--trust` says that they do. The test that the record names for a fault runs
before the others.
"""

import argparse
import contextlib
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent.parent
LIST = Path(__file__).with_suffix(".toml")
SECONDS = 60  # for the tests of a module with a fault, besides five times what they take without
# imported once for all faults; importing them starts no threads that a fork would lose
PACKAGES = (
    *("jax", "jax.experimental.multihost_utils", "jax.experimental.layout", "jax.export", "flax.linen", "optax"),
    *("orbax.checkpoint.experimental.v1", "tensorflow_datasets", "scipy.stats", "skimage.metrics", "matplotlib.figure"),
    *("hypothesis.extra.numpy", "pytest", "beartype", "msgspec", "tyro", "rich", "jinja2", "cv2", "onnx"),
)


OUTPUT = "../output.txt"  # of the tests, from the copy of the checkout


class Fault(NamedTuple):
    """A fault: `old` text of a module, found there once, replaced by `new`; and why it cannot be noticed, if so."""

    module: str
    old: str
    new: str
    reason: str = ""

    def applied(self, source: str) -> str:
        """Return the source of the module with the fault. Raises ValueError if the text is not there exactly once."""
        if (count := source.count(self.old)) != 1 or self.old == self.new:
            raise ValueError(f"{self.module} holds {count} times, not once: {self.old!r}")
        return source.replace(self.old, self.new)


class Outcome(NamedTuple):
    """How the tests ended: the first that failed, if any ("a time limit" if they did not end), and their seconds."""

    failed: str | None
    seconds: float


def read_faults() -> tuple[list[Fault], dict[str, list[str]]]:
    """Return the faults of `faults.toml`, and the tests of each module."""
    listed = tomllib.loads(LIST.read_text())
    faults = [Fault(module, *fault) for module, entry in listed.items() for fault in entry["faults"]]
    return faults, {module: entry["tests"] for module, entry in listed.items()}


def copy_checkout(to: Path) -> None:
    """Copy what git tracks or would track, as it is in the working tree."""
    options = ("--cached", "--others", "--exclude-standard", "-z")
    listed = subprocess.run(["git", "ls-files", *options], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


class Worker:
    """A process in a copy of the checkout that runs tests; see `serve`."""

    def __init__(self, checkout: Path, cache: Path):
        """Start it, with the compiled programs of all runs kept in `cache`."""
        self.checkout = checkout
        self.times = time.time()
        settings = {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.02"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.stress.faults", "--serve"],
            cwd=checkout,
            env=os.environ | settings | {"JAX_PLATFORMS": "cpu"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: Any) -> None:
        """End it, and the tests that it runs."""
        self.process.terminate()
        self.process.wait()

    def run(self, tests: list[str], seconds: float, first: str = "") -> Outcome:
        """Run `tests`, for so many seconds at most, the one called `first` before the others."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps([tests, seconds, first]) + "\n")
        self.process.stdin.flush()
        return Outcome(*json.loads(self.process.stdout.readline()))

    @contextlib.contextmanager
    def fault(self, fault: Fault) -> Iterator[None]:
        """Have the module faulty within the block."""
        path = self.checkout / fault.module
        source = path.read_text()
        try:
            self._write(path, fault.applied(source))
            yield
        finally:
            self._write(path, source)

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text)
        self.times += 2  # Python tells whether a module has changed by whole seconds
        os.utime(path, (self.times, self.times))


def _stop(*_: Any) -> None:
    sys.exit(143)  # so that what was begun is ended and removed


def serve() -> None:
    """Run what standard input asks for, the arguments of `Worker.run` as a JSON list a line; print each outcome."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anything else prints
    signal.signal(signal.SIGTERM, _stop)
    warnings.simplefilter("ignore")  # JAX warns of a fork
    importlib.import_module("tests.conftest")
    for package in PACKAGES:
        with contextlib.suppress(ImportError):
            importlib.import_module(package)
    hypothesis = importlib.import_module("hypothesis")
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # looking for a smaller example takes minutes
    hypothesis.settings.register_profile("faults", phases=phases)
    hypothesis.settings.load_profile("faults")
    for line in sys.stdin:
        print(json.dumps(_run_forked(*json.loads(line))), file=answers, flush=True)


def _run_forked(tests: list[str], seconds: float, first: str) -> Outcome:
    start, (receive, send) = time.monotonic(), os.pipe()
    child, ended = os.fork(), 0
    if not child:
        _run_tests(tests, first, send)
    os.close(send)
    try:
        while not ended and time.monotonic() < start + seconds:
            time.sleep(0.05)
            ended, _ = os.waitpid(child, os.WNOHANG)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # and what it started
    if not ended:
        os.waitpid(child, 0)
    with os.fdopen(receive) as pipe:
        failed = pipe.read() if ended else "a time limit"
    return Outcome(failed.strip().partition("\n")[0] or None, round(time.monotonic() - start, 1))


def _run_tests(tests: list[str], first: str, send: int) -> None:
    """Run `tests` in this process, write what fails to `send`, and end the process."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with open(OUTPUT, "w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    status: Any = "an error in pytest"
    try:
        import pytest

        class Plugin:
            def pytest_runtest_logreport(self, report):
                if report.failed:
                    os.write(send, f"{report.nodeid}\n".encode())

            pytest_collectreport = pytest_runtest_logreport

            @pytest.hookimpl(trylast=True)
            def pytest_collection_modifyitems(self, items):
                if first:
                    items.sort(key=lambda item: not item.nodeid.startswith(first))

        options = "-q -x -p no:cacheprovider -W ignore::pytest.PytestAssertRewriteWarning"  # imported before the fork
        status = int(pytest.main([*options.split(), "-m", "not slow", *tests], plugins=[Plugin()]))
    except BaseException:
        traceback.print_exc()
    os.write(send, f"pytest's status {status}\n".encode() if status else b"")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def try_faults(
    faults: list[Fault], tests: dict[str, list[str]], before: dict[Fault, dict[str, Any]], trusted: bool
) -> Iterator[tuple[Fault, dict[str, Any]]]:
    """Yield each of `faults` with its row of the record.

    The test that noticed it `before` runs first. Tests that are `trusted` are known to pass without a fault.
    """
    signal.signal(signal.SIGTERM, _stop)
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as work, contextlib.ExitStack() as stack:
        checkout = Path(work) / "checkout"
        copy_checkout(checkout)
        worker = stack.enter_context(Worker(checkout, Path(work) / "xla"))
        for number, fault in enumerate(faults, 1):
            words = tests[fault.module]
            if (name := " ".join(words)) not in seconds and not trusted:
                outcome = worker.run(words, 1800)
                seconds[name] = outcome.seconds
                print(f"{name}: {outcome.seconds} s without a fault", flush=True)
                if outcome.failed:
                    sys.exit(f"{(checkout / OUTPUT).read_text()}\nfails without a fault: {outcome.failed}")
            most = SECONDS + 5 * seconds[name] if name in seconds else 1800
            first = before.get(fault, {}).get("killed_by") or ""
            with worker.fault(fault):
                outcome = worker.run(words, most, first)
            what = outcome.failed or f"SURVIVED {fault.reason}"
            print(f"{number}/{len(faults)} {fault.module} {fault.old!r}: {what} ({outcome.seconds} s)", flush=True)
            row = {"old": fault.old, "new": fault.new, "killed_by": outcome.failed, "seconds": outcome.seconds}
            yield fault, row | ({} if outcome.failed else {"reason": fault.reason})


def main() -> None:
    """Try the faults and write the record."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.faults", description="Try faults.")
    parser.add_argument("--only", nargs="+", metavar="MODULE", help="such as noise/kinds: the others keep their rows")
    parser.add_argument("--resume", action="store_true", help="keep the rows of faults that were killed")
    parser.add_argument("--trust", action="store_true", help="the tests are known to pass without a fault")
    parser.add_argument("--record", type=Path, help="where the record is written")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve()
    faults, tests = read_faults()
    only = {f"jaxae/{name}.py" for name in options.only or ()}
    if missing := only - tests.keys():
        sys.exit(f"no faults in {', '.join(sorted(missing))}")
    for fault in faults:
        fault.applied((ROOT / fault.module).read_text())
    before: dict[Fault, dict[str, Any]] = {}
    if options.record and options.record.exists():
        modules = json.loads(options.record.read_text())["modules"]
        rows = {(module, row["old"], row["new"]): row for module, each in modules.items() for row in each["faults"]}
        before = {fault: rows[fault[:3]] for fault in faults if fault[:3] in rows}
    wanted = [fault for fault in faults if not only or fault.module in only]
    if options.resume:
        wanted = [fault for fault in wanted if not before.get(fault, {}).get("killed_by")]
    known = {fault: row for fault, row in before.items() if fault not in wanted}

    def save() -> None:
        if options.record:
            options.record.write_text(json.dumps(_record(known, faults), indent=2, ensure_ascii=False) + "\n")

    for fault, row in try_faults(wanted, tests, before, options.trust):
        known[fault] = row
        save()
    save()


def _record(known: dict[Fault, dict[str, Any]], faults: list[Fault]) -> dict[str, Any]:
    """The record: rows by module, in the order of the list."""
    modules: dict[str, Any] = {}
    for fault in faults:
        if fault in known:
            module = modules.setdefault(fault.module, {"killed": 0, "survived": 0, "faults": []})
            module["killed" if known[fault]["killed_by"] else "survived"] += 1
            module["faults"].append(known[fault])
    counts = {name: sum(module[name] for module in modules.values()) for name in ("killed", "survived")}
    return {
        "command": shlex.join(["python", "-m", "tests.stress.faults", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "jax": importlib.metadata.version("jax"),
        **counts,
        "modules": modules,
    }


if __name__ == "__main__":
    main()
