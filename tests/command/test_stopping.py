"""What signals do to a command."""

import signal
import subprocess
import sys
import time

import pytest

PROGRAM = """
import time
from jaxae import command
from jaxae.command import stopping

def main():
    stopping.set_advice("go on with: this")
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("save completed", flush=True)
        time.sleep({save_seconds})

command.run_main(main)
"""


def start(save_seconds):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(save_seconds=save_seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_completes_the_save_and_says_how_to_go_on(number, status):
    process = start(save_seconds=0)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == status, err
    assert out == "save completed\n"
    assert err == "stopped; go on with: this\n"


def test_a_second_signal_leaves_at_once():
    process, began = start(save_seconds=60), time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "save completed\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGTERM
    assert time.monotonic() - began < 20
