"""A signal ends every command at any moment; the record has many for each."""

import json
from pathlib import Path

import pytest

from tests.stress import signals
from tests.stress.disks import make_inputs

RECORD = Path(__file__).parent / "records" / "signals.json"


@pytest.mark.slow
def test_signals_at_random_moments(tmp_path):
    inputs = make_inputs(tmp_path / "inputs")
    for name in ("a run", "an export for JAX"):
        assert signals.signal_command(name, inputs, tmp_path, count=2, seed=1)["signals"] == 2


def test_the_record_has_every_command():
    record = json.loads(RECORD.read_text())
    assert set(record["commands"]) == set(signals.COMMANDS)
    assert record["signals"] >= 100
    assert record["slowest"] <= signals.LATEST
