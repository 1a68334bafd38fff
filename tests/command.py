"""Run a command of jaxae as a user does: in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Result(NamedTuple):
    status: int
    out: str
    err: str


def command(*arguments: object, cwd: Path | None = None, timeout: float = 300, **environment: str) -> Result:
    """``python -m ARGUMENTS…`` on one CPU device, with the strictness of the tests' own process left out."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "TFDS_"))}
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        env={**inherited, "JAX_PLATFORMS": "cpu", **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def refused(result: Result) -> str:
    """The one line that a refused input ends in."""
    assert result.status == 2, (result.status, result.err)
    lines = result.err.strip().splitlines()
    assert len(lines) == 1, result.err
    assert lines[0].startswith("error: ")
    return lines[0]
