"""SIGTERM and Ctrl-C at random moments of every command: a program for the record, and samples for the tests.

    python -m tests.stress.signals --signals 200 --record tests/stress/records/signals.json

From the moment at which a command has imported `jaxae`, what Python does first, a signal ends it within `LATEST`
seconds, with its status and one line, unless it completes its work before. No traceback is printed, nothing half
written is left, and no process. Training goes on for ever: it ends by a signal only.
"""

import argparse
import concurrent.futures
import datetime
import itertools
import json
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.process import environment
from tests.stress.disks import PLACES, half_files, make_inputs

LATEST = 3.0  # seconds
MOMENTS = 12.0  # seconds from the start on, of which one is drawn
ENDLESS = ("--train.epochs", 100_000)
COMMANDS = {name: place for name, place in PLACES.items() if not place.caches}
STATUS = {signal.SIGTERM: 143, signal.SIGINT: 130}


def catches(process: int, number: int) -> bool:
    """Whether the process has a handler for the signal `number`."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except FileNotFoundError:
        return False
    return bool(int(dict(line.split(":", 1) for line in lines)["SigCgt"], 16) >> number - 1 & 1)


def signal_once(name: str, inputs: Path, out: Path, number: int, delay: float) -> dict[str, Any] | None:
    """Send a signal `delay` seconds after `jaxae` is imported; None if the command has ended before that."""
    words = COMMANDS[name].arguments(inputs, out)
    words += ENDLESS if "--train.epochs" in words else ()
    process = subprocess.Popen(
        [sys.executable, "-m", *map(str, words)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while process.poll() is None and not catches(process.pid, signal.SIGTERM):
        time.sleep(0.001)
    try:
        process.communicate(timeout=delay)
        return None
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    sent = time.monotonic()
    try:
        said, err = process.communicate(timeout=60)
    finally:
        seconds = time.monotonic() - sent
        process.kill()
    case = (name, number, delay, seconds, process.returncode, said, err)
    lines = err.splitlines()
    # at the very end of a process that has done its work Python itself leaves signals to the system
    completed = process.returncode in (0, -number) and ("written:" in said or "is prepared" in said)
    assert seconds <= LATEST, case
    assert not any(sign in err for sign in ("Traceback", "Exception", "Error")), case
    stopped = process.returncode == STATUS[number] and lines[-1].startswith("stopped")
    assert stopped or completed, case
    assert not half_files(out), (case, half_files(out))
    return {"after": round(delay, 2), "ended_after": round(seconds, 2), "completed": completed}


def signal_command(name: str, inputs: Path, work: Path, count: int, seed: int) -> dict[str, Any]:
    """Send `count` signals to a command, each in a folder of its own; the record of it."""
    chance, rows = random.Random(f"{seed} {name}"), []
    for trial, number in zip(range(count), itertools.cycle(STATUS), strict=False):
        delay = chance.uniform(0, MOMENTS)
        for again in itertools.count():
            out = work / f"{name}-{trial}-{again}".replace(" ", "-")
            out.mkdir(parents=True)
            if row := signal_once(name, inputs, out, number, delay):
                rows.append({"signal": signal.Signals(number).name} | row)
                break
            delay *= chance.random()
    return {
        "signals": len(rows),
        "slowest": max(row["ended_after"] for row in rows),
        "completed": sum(row["completed"] for row in rows),
        "each": rows,
    }


def main() -> None:
    """Send signals as the command line says, and write the record."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress.signals", description="Send signals to commands.")
    parser.add_argument("--signals", type=int, default=200, help="in all, shared out to the commands")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--record", type=Path, help="where the record is written")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's commands would ignore it
    each = -(-options.signals // len(options.commands))
    with tempfile.TemporaryDirectory() as work, concurrent.futures.ThreadPoolExecutor(options.at_once) as pool:
        inputs = make_inputs(Path(work) / "inputs")
        for name in options.commands:
            if prepare := COMMANDS[name].prepare:
                prepare(inputs)
        jobs = {
            name: pool.submit(signal_command, name, inputs, Path(work), each, options.seed) for name in options.commands
        }
        rows = {}
        for name, job in jobs.items():
            rows[name] = job.result()
            print(name, {key: value for key, value in rows[name].items() if key != "each"}, flush=True)
    record = {
        "command": shlex.join(["python", "-m", "tests.stress.signals", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "signals": sum(row["signals"] for row in rows.values()),
        "slowest": max(row["slowest"] for row in rows.values()),
        "commands": rows,
    }
    if options.record:
        options.record.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
