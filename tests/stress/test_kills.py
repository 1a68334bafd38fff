"""Killed at any moment, a run that is resumed ends as if nothing had happened; the record has every other job too."""

import json
from pathlib import Path

import pytest

from tests.stress.kills.__main__ import SHARES
from tests.stress.kills.jobs import denoise_job, run_job
from tests.stress.kills.loop import kill_loop
from tests.training_run import make_images

RECORD = Path(__file__).parent / "records" / "kills.json"


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_the_same(tmp_path):
    make_images(tmp_path / "images")
    record = kill_loop(run_job(tmp_path / "images", epochs=12), tmp_path, kills=1)
    assert record["kills"] == 1


@pytest.mark.slow
def test_a_folder_that_is_denoised_has_no_half_picture_after_a_kill(tmp_path):
    kill_loop(denoise_job(tmp_path), tmp_path, kills=1, seed=1)


def test_the_record_has_every_job():
    record = json.loads(RECORD.read_text())
    assert set(record["jobs"]) <= set(SHARES)  # not yet: runs with rare checkpoints, streams, pmap, other weights
    assert record["kills"] == sum(len(job["each"]) for job in record["jobs"].values()) >= 100
    assert all(job["digest_alone"] == job["digest_killed"] for job in record["jobs"].values())
