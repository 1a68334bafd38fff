"""Killed at any moment, a run that is resumed ends as if nothing had happened."""

import json
from pathlib import Path

import pytest

from tests import kills

RECORD = Path(__file__).parent / "records" / "kills.json"


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_the_same(tmp_path):
    record = kills.kill_loop(tmp_path, kills=5, epochs=16)
    assert record["digests_equal"], record
    assert record["every_epoch_once"], record
    assert record["kills"] == 5
    assert record["during_save"] >= 1, record


def test_the_record_says_what_the_readme_says():
    record = json.loads(RECORD.read_text())
    assert record["kills"] >= 20
    assert len(record["each"]) == record["kills"]
    assert record["during_save"] == sum(kill["during_save"] for kill in record["each"])
    assert record["params_digest_alone"] == record["params_digest_killed"]
