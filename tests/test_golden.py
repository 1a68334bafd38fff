"""Fails when what a step or a test computes has changed: `python -m tests.golden make` only where it was meant to."""

import json

import pytest

from tests import golden

RECORD = json.loads(golden.FILE.read_text())


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] * (case.backend != "xla"), id=case.name) for case in golden.PART],
)
def test_training_and_testing_give_the_numbers_on_record(case):
    assert not golden.differences(case, golden.run(case), RECORD[case.name])


def test_the_record_holds_the_cases_and_no_others():
    assert list(RECORD) == [case.name for case in golden.CASES]
