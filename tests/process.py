"""Run a command of jaxae as a user does, in a process apart from the tests' own."""

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
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


def alone(*arguments: object, cwd: Path | None = None, timeout: float = 300, **variables: str) -> Result:
    """``python -m ARGUMENTS…`` in a process of its own, in a user's `environment` with `variables`."""
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


class Server:
    """A process that runs one command after another; of its own accord it ends with the tests' process."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.server"],
            env=environment(),
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def run(self, arguments: tuple[object, ...], cwd: Path | None, timeout: float) -> Result:
        """Run ``python -m ARGUMENTS…`` there. A command that ends the process ends the server."""
        module, *rest = map(str, arguments)
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            asked = {
                "module": module,
                "arguments": rest,
                "cwd": str(cwd or Path.cwd()),
                "out": str(out),
                "err": str(err),
            }
            self.process.stdin.write(json.dumps(asked).encode() + b"\n")
            self.process.stdin.flush()
            if not select.select([self.process.stdout], [], [], timeout)[0]:
                self.process.kill()
                raise subprocess.TimeoutExpired(arguments, timeout)
            answer = self.process.stdout.readline()
            status = int(answer) if answer else self.process.wait()
            return Result(status, out.read_text(), err.read_text())


_server: Server | None = None
# what sets up JAX anew, for which it is too late in a process that has computed something
APART = ("--devices", "--parallel", "--distributed.")


def command(*arguments: object, cwd: Path | None = None, timeout: float = 300, **variables: str) -> Result:
    """``python -m ARGUMENTS…`` as a user's notebook runs it: in the same process as other commands before it.

    With `variables`, or what needs JAX set up anew, `alone`.
    """
    global _server
    if variables or any(str(argument).startswith(APART) for argument in arguments):
        return alone(*arguments, cwd=cwd, timeout=timeout, **variables)
    if _server is None or _server.process.poll() is not None:
        _server = Server()
    return _server.run(arguments, cwd, timeout)


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
