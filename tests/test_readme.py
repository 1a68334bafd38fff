"""What the README says is true of the code."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process import command, environment

README = (Path(__file__).parent.parent / "README.md").read_text()


@pytest.mark.slow
def test_the_library_example_runs(request):
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment() | {"TFDS_DATA_DIR": str(request.config.cache.mkdir("tensorflow_datasets"))},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    first, second = (line.split() for line in done.stdout.splitlines())
    assert float(second[1]) < float(first[1])


def test_every_module_and_file_it_names_exists():
    modules = set(re.findall(r"python -m (jaxae[\w.]*)", README))
    assert len(modules) > 5
    for module in modules:
        assert importlib.util.find_spec(module) is not None, module
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (Path(__file__).parent.parent / link).exists(), link


def test_every_option_it_names_exists():
    helps = command("jaxae.experiments.mnist_denoise", "--help").out + command("jaxae.experiments.sweep", "--help").out
    helps += command("jaxae.evaluate", "--help").out + command("jaxae.data", "prepare", "--help").out
    helps += command("jaxae.denoise", "--help").out
    for option in set(re.findall(r"(?<=\s)--[a-z][\w.-]+", README)):
        assert option in helps, option
