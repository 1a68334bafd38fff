"""What signals do to a command."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jaxae.command import stopping

PROGRAM = """
import gc, subprocess, sys, time
from pathlib import Path
from jaxae import command, files
from jaxae.command import stopping

def main():
    stopping.set_advice("go on with: this")
    {body}

command.run_main(main)
"""
BUSY = """with files.replacing(Path("file")) as temporary:
        temporary.write_text("half")
        print("ready", flush=True)
        time.sleep(60)"""
CALLBACK = """class Endless:
        def __del__(self):  # where exceptions are swallowed
            print("ready", flush=True)
            time.sleep(60)
    Endless()"""
EVENT_LOOP = """import signal
    signal.set_wakeup_fd(-1)  # as uvloop does, which calls handlers itself
    print("ready", flush=True)
    time.sleep(60)"""
LOOP = """stopping.requested()
    print("ready", flush=True)
    try:
        while True:
            time.sleep(0.01)
            stopping.check()
    finally:
        print("save completed", flush=True)
        time.sleep({seconds})"""


@pytest.fixture
def start(tmp_path):
    """`start(body)`: a command that has come to say "ready"."""
    started = []

    def start(body, *before, **options):
        words = [*before, sys.executable, "-c", PROGRAM.format(body=body)]
        variables = os.environ | {"PYTHONPATH": str(Path.cwd())}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        process = subprocess.Popen(words, cwd=tmp_path, env=variables, text=True, **pipes)
        started.append(process)
        if process.stdout:
            assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("body", [BUSY, CALLBACK, EVENT_LOOP])
def test_a_command_that_reads_no_flag_is_ended_at_once_wherever_it_is(start, tmp_path, body):
    process, began = start(body), time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (143, "", "stopped; go on with: this\n")
    assert time.monotonic() - began < stopping.GRACE
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_loop_that_reads_the_flag_completes_its_save(start, number, status):
    process = start(LOOP.format(seconds=0))
    process.send_signal(number)
    process.send_signal(number)  # the same one again, as `timeout` sends it
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (status, "save completed\n", "stopped; go on with: this\n")


@pytest.mark.parametrize("again", [True, False])
def test_a_save_that_takes_too_long_or_a_second_signal_ends_it(start, again):
    process, began = start(LOOP.format(seconds=60)), time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "save completed\n"
    if again:
        time.sleep(2 * stopping.TOGETHER)
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (143, "stopped; go on with: this\n")
    assert (time.monotonic() - began < stopping.GRACE) == again


def test_a_background_job_ignores_ctrl_c_and_nothing_needs_a_terminal(start, tmp_path):
    body = "print('ready', flush=True); time.sleep(1); print('more'); (Path.cwd() / 'done').touch()"
    leader, terminal = pty.openpty()
    job = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
    process = start(body, *job, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True)
    os.close(terminal)
    assert os.read(leader, 5) == b"ready"
    process.send_signal(signal.SIGINT)
    os.close(leader)  # writing to the terminal is an error from here on
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=20) == 0
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_during_the_imports_is_a_line(number, status):
    """As soon as `jaxae` itself is imported, which is what Python does first."""
    words = [sys.executable, "-m", "jaxae.experiments.mnist_denoise"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not catches(process.pid, signal.SIGTERM):  # before that a signal is for Python itself
        time.sleep(0.001)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (status, "", "stopped\n")


def catches(process, number):
    """Whether `process` has a handler for the signal `number`."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(status["SigCgt"], 16) >> number - 1 & 1


def test_a_program_that_imports_the_library_keeps_its_handlers():
    program = "import signal, jaxae.command; print(signal.getsignal(signal.SIGTERM), signal.set_wakeup_fd(-1))"
    done = subprocess.run([sys.executable, "-c", program, "-m", "jaxae"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{signal.SIG_DFL} -1\n"
