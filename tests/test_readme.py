"""The README is short, and what it says of the library is true; `test_docs.py` checks its commands and links."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process import environment

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_the_library_example_runs(request):
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment() | {"TFDS_DATA_DIR": str(request.config.cache.mkdir("tensorflow_datasets"))},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    first, second = map(float, re.findall(r"[\d.]+", done.stdout))  # the PSNR after each epoch
    assert 10 < first < second


def test_it_is_short():
    assert len(README.splitlines()) <= 110


def test_every_folder_of_its_tree_exists():
    (tree,) = re.findall(r"```text\n(.*?)```", README, flags=re.DOTALL)
    package = re.findall(r"(\w+(?:\.py|/))(?=[, ])", "\n".join(re.findall(r"^  (\w.*)", tree, flags=re.MULTILINE)))
    assert len(package) > 10
    for name in package:
        assert (ROOT / "jaxae" / name).exists(), name
    for name in re.findall(r"^(\w+/)", tree, flags=re.MULTILINE):
        assert (ROOT / name).is_dir(), name
