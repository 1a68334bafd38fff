"""The README is short, and what it says of the library is true; `test_docs.py` checks its commands and links."""

import inspect
import re
from pathlib import Path

import numpy as np

import jaxae
from jaxae.experiments.catalog import EXPERIMENTS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_example_in_python_is_true(monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    signature, calls = inspect.signature(jaxae.train), []
    monkeypatch.setattr(jaxae, "train", lambda *given, **options: calls.append(signature.bind(*given, **options)))
    names = {"noisy": np.full((40, 30), 100, np.uint8)}
    exec(code, names)
    assert names["restored"].shape == (40, 30)
    assert calls[0].arguments["experiment"].replace("-", "_") in EXPERIMENTS


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
