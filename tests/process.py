"""Run a command of jaxae as a user does: in a process of its own."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

# one for all processes that tests start, kept between test runs
CACHE = Path(__file__).parent.parent / ".pytest_cache" / "xla"


class Result(NamedTuple):
    status: int
    out: str
    err: str


def environment() -> dict[str, str]:
    """That of a user's process, on one CPU device: the strictness of the tests' own process is left out."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "TFDS_", "XLA_"))}
    return inherited | {"JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": str(CACHE)}


def command(*arguments: object, cwd: Path | None = None, timeout: float = 300, **variables: str) -> Result:
    """``python -m ARGUMENTS…`` in a user's `environment`."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        env=environment() | variables,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def refused(result: Result) -> str:
    """The one line that a refused input ends in."""
    assert result.status == 2, (result.status, result.err)
    lines = result.err.strip().splitlines()
    assert len(lines) == 1, result.err
    assert lines[0].startswith("error: ")
    return lines[0]
