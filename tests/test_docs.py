"""What the documentation says is true of the code: snippets run, names exist, the reference is up to date."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process import command, environment

ROOT = Path(__file__).parent.parent
# the tutorial first: it makes the runs that the other pages work on
PAGES = sorted(
    [*(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md"], key=lambda path: (path.name != "tutorial.md", path.name)
)
WRITTEN = [path for path in PAGES if path.name != "api.md"]
NOWHERE = "http://127.0.0.1:9"  # a proxy that nobody listens at: as good as no network
ELSEWHERE = ("pip ", "git ", "make ")  # what installs is not run again


def snippets(path: Path) -> list[tuple[str, str]]:
    """The language and text of each block of `path` that is to be run."""
    return re.findall(r"^```(sh|python)\n(.*?)^```", path.read_text(), flags=re.DOTALL | re.MULTILINE)


def shortened(line: str) -> str:
    """A command of training, on few images, with what compiles soonest, and for one epoch where it names no number."""
    few = "--data.limit 512 --train.ops xla"
    if "--train.epochs" not in line and "--resume" not in line:
        few += " --train.epochs 1"
    if "--data.name" not in line:
        few += " --data.name " + ("dead_leaves_small" if "cifar10" in line else "digits_small")
    return re.sub(r"(python -m jaxae\.experiments\.\w+)", rf"\1 {few}", line)


def run_snippet(language: str, text: str, cwd: Path, variables: dict[str, str]) -> str | None:
    """What went wrong, or None."""
    if language == "sh":
        lines = text.replace("\\\n", " ").splitlines()
        script = "\n".join(shortened(line) for line in lines if not line.startswith(ELSEWHERE))
        arguments = ["bash", "-e", "-c", script]
    else:
        arguments = [sys.executable, "-c", text]
    done = subprocess.run(arguments, cwd=cwd, env=variables, capture_output=True, text=True, timeout=300)
    return None if done.returncode == 0 else f"{text}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
def test_every_snippet_runs(request, tmp_path):
    variables = environment() | {name: NOWHERE for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables["TFDS_DATA_DIR"] = str(request.config.cache.mkdir("tensorflow_datasets"))
    found = [(path, *snippet) for path in WRITTEN for snippet in snippets(path)]
    assert len(found) > 10
    wrong = []
    for path, language, text in found:
        said = run_snippet(language, text, tmp_path, variables)
        if said is not None:
            wrong.append(f"--- {path.name}\n{said}")
    assert not wrong, "\n".join(wrong)


def modules_named() -> set[str]:
    return {name for path in WRITTEN for name in re.findall(r"python -m (jaxae[\w.]*\w)", path.read_text())}


def test_every_module_exists():
    assert len(modules_named()) >= 5
    for module in modules_named():
        assert importlib.util.find_spec(module) is not None, module


@pytest.mark.slow
def test_every_option_exists():
    commands = [(module, "--help") for module in modules_named() - {"jaxae.data"}] + [
        ("jaxae.data", "prepare", "--help")
    ]
    helps = "".join(command(*each).out for each in commands)
    for path in WRITTEN:
        text = path.read_text()
        named = re.findall(r"`(--[a-z][a-z.-]+)", text)
        for line in re.findall(r"^ *python -m jaxae.*$", text, flags=re.MULTILINE):
            named += re.findall(r"(?<= )--[a-z][a-z.-]+", line)
        for option in named:
            assert option in helps, (path.name, option)


def test_every_link_leads_somewhere():
    for path in WRITTEN:
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / link).exists(), (path.name, link)


def test_the_index_names_every_page():
    index = (ROOT / "docs" / "index.md").read_text()
    for path in (ROOT / "docs").glob("*.md"):
        assert path.name == "index.md" or f"]({path.name})" in index, path.name


def test_the_reference_is_up_to_date():
    spec = importlib.util.spec_from_file_location("make_api", ROOT / "docs" / "make_api.py")
    make_api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_api)
    assert (ROOT / "docs" / "api.md").read_text() == make_api.reference(), "run: python docs/make_api.py"
