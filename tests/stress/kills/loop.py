"""Kill a job again and again, let it end, and compare it with one that was left alone."""

import itertools
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.stress.kills.jobs import Job

MOMENTS = {"at any moment": 4.0, "while it gets on": 0.5, "while it writes": 0.0}  # and most seconds to wait from there
LATEST = 90  # seconds in which the other process of a run has to end


def plan(kills: int, chance: random.Random, summary: bool) -> list[tuple[str, float]]:
    """When to kill, and how many seconds later: half while it writes; with `summary` the last after the last epoch."""
    turns = itertools.islice(itertools.cycle([*MOMENTS, "while it writes"]), kills - summary)
    planned = [(when, chance.uniform(0.0, MOMENTS[when])) for when in turns]
    return planned + [("after the last epoch", 0.2)] * summary


def kill_once(job: Job, place: Path, when: str, delay: float, chance: random.Random) -> dict[str, Any] | None:
    """SIGKILL at the moment that `when` names, and `delay` seconds on; None where the job ends before that.

    Of several processes one is killed, and the others have to end by themselves.
    """
    processes = job.start(place)
    before, ripe = job.progress(place), None
    while all(process.poll() is None for process in processes):
        ready = {
            "at any moment": True,
            "while it gets on": job.progress(place) > before,
            "while it writes": job.writing(place) and (job.last is None or job.progress(place) > before),
            "after the last epoch": job.progress(place) == job.last,
        }
        ripe = ripe or (time.monotonic() + delay if ready[when] else None)
        if ripe is not None and time.monotonic() >= ripe:
            victim = chance.randrange(len(processes))
            processes[victim].send_signal(signal.SIGKILL)
            killed = time.monotonic()
            end(processes)
            row = {"when": when, "progress": job.progress(place), "while_writing": job.writing(place)}
            if len(processes) > 1:
                row |= {"victim": victim, "others_ended_after": round(time.monotonic() - killed, 1)}
            return row
        time.sleep(0.0005)
    said = end(processes)
    assert all(process.returncode == 0 for process in processes), said
    return None


def end(processes: list[subprocess.Popen]) -> list[str]:
    """What each process says, once all have ended."""
    try:
        return [process.communicate(timeout=LATEST)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()


def finish(job: Job, place: Path) -> str:
    """Let the job end; the digest of what it leaves."""
    processes = job.start(place)
    said = [process.communicate(timeout=600)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes), said
    return job.left(place)


def kill_loop(job: Job, work: Path, kills: int, seed: int = 0) -> dict[str, Any]:
    """Kill `job` `kills` times in a folder below `work`; the record of it.

    A job that ends before it is killed begins anew. Raises AssertionError where it does not end as if left alone.
    """
    began, chance = time.monotonic(), random.Random(seed)
    alone, place, rows, ended = finish(job, work / "alone"), work / "killed", [], 0
    for when, delay in plan(kills, chance, job.last is not None):
        while (row := kill_once(job, place, when, delay, chance)) is None:
            ended, delay = ended + 1, delay / 2
            assert ended <= 20 + kills, f"it always ends before it can be killed {when}"
            assert job.left(place) == alone, "it ended otherwise than when it was left alone"
            shutil.rmtree(place)
        job.check(place)
        rows.append(row)
    killed = finish(job, place)
    assert killed == alone, "it ended otherwise than when it was left alone"
    return {
        "kills": len(rows),
        "while_writing": sum(row["while_writing"] for row in rows),
        "ended_before": ended,
        "digest_alone": alone,
        "digest_killed": killed,
        "seconds": round(time.monotonic() - began, 1),
        "each": rows,
    }
