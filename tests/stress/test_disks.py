"""A full disk where something is written is one line, and nothing is left half written."""

import contextlib
import json
from pathlib import Path

import pytest

from tests.stress import disks

RECORD = Path(__file__).parent / "records" / "disks.json"
SAMPLE = ["denoised pictures"]


@pytest.mark.slow
def test_full_disks(tmp_path):
    inputs = disks.make_inputs(tmp_path / "inputs")
    for number, name in enumerate(SAMPLE):
        with contextlib.ExitStack() as stack:
            try:
                disk = stack.enter_context(disks.small_disk(tmp_path / str(number)))
            except OSError as error:
                pytest.skip(str(error))
            disks.try_place(name, inputs, disk)


def test_the_record_has_every_place():
    record = json.loads(RECORD.read_text())
    assert [row["place"] for row in record["places"]] == list(disks.PLACES)
