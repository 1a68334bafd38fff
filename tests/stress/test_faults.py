"""The list of faults follows the code, and the record has each of them; `tests.stress.faults` tries them."""

import ast
import json
from pathlib import Path

from tests.stress.faults import ROOT, read_faults

RECORD = Path(__file__).parent / "records" / "faults.json"


def test_every_fault_is_in_the_code_once_and_has_tests():
    faults, tests = read_faults()
    assert len({fault[:3] for fault in faults}) == len(faults) >= 150
    for fault in faults:
        ast.parse(fault.applied((ROOT / fault.module).read_text()))
    assert all((ROOT / test.partition("::")[0]).is_file() for names in tests.values() for test in names)


def test_the_record_has_every_fault_and_nine_of_ten_were_noticed():
    record = json.loads(RECORD.read_text())
    rows = {
        (module, row["old"], row["new"]): row for module, each in record["modules"].items() for row in each["faults"]
    }
    faults, _ = read_faults()
    assert rows.keys() == {fault[:3] for fault in faults}
    assert record["killed"] >= 0.9 * len(faults)
    assert not [row for row in rows.values() if not row["killed_by"] and not row["reason"]]
