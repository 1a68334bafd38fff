"""A few hundred of the generated cases of `tests.stress.fuzz`, whose record has thousands."""

import json
from pathlib import Path

import pytest

from tests.stress.fuzz.bench import bench
from tests.stress.fuzz.kinds import KINDS, share

RECORD = Path(__file__).parent / "records" / "fuzz.json"
SAMPLE = share(260)

# TensorStore reports a failed read once more, to an event loop that has ended
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with bench(tmp_path_factory.mktemp("bench").resolve()) as place:
        yield place


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_generated_cases(kind, place):
    if kind in ("state dicts", "pickles"):
        pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[torch]'")
    KINDS[kind].check(place, SAMPLE[kind])


def test_the_record_has_every_kind():
    record = json.loads(RECORD.read_text())
    assert record["cases"] >= 5000
    assert {row["kind"] for row in record["kinds"]} == set(KINDS)
    assert all(row.get("read", 0) + row.get("refused", 0) >= row["cases"] for row in record["kinds"])
