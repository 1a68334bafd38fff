"""What the documentation says is true of the code: snippets run, names exist, the reference is whole."""

import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process import environment
from tests.tiny_data_set import write_few

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
# the tutorial first: it makes the runs that the other pages work on
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "CONTRIBUTING.md"], key=lambda path: (path.name != "tutorial.md", path))
READ = [*PAGES, *(ROOT / name for name in ("README.md", "benchmarks/README.md", "benchmarks/LOG.md"))]
READ += sorted((ROOT / "experiments").rglob("README.md"))
NOWHERE = "http://127.0.0.1:9"  # a proxy that nobody listens at: as good as no network


def snippets(path: Path) -> list[tuple[str, str]]:
    """The language and text of each block of `path` that is to be run."""
    return re.findall(r"^```(sh|python)\n(.*?)^```", path.read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_every_snippet_runs(tmp_path):
    variables = environment() | {name: NOWHERE for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables |= {"TFDS_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(ROOT)}
    for name, channels, size in (("digits_small", 1, 28), ("photo_patches_small", 3, 32)):
        write_few(tmp_path / "data", name, channels, size, train=2100)  # a snippet takes 2,048 of them
    (tmp_path / "work").mkdir()
    # those of devices.md start several processes, which have tests of their own
    pages = [path for path in PAGES if path.name != "devices.md"]
    found = [(path.name, *snippet) for path in pages for snippet in snippets(path)]
    assert len(found) > 20
    done = subprocess.run(
        [sys.executable, "-m", "tests.snippets"],
        input=json.dumps(found),
        cwd=tmp_path / "work",
        env=variables,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    wrong = json.loads(done.stdout.splitlines()[-1])
    assert not wrong, "\n".join(wrong)


def test_the_guide_to_contributing_includes_every_extension():
    # not ```python, which ruff formats
    blocks = r"^``` \{\.python\}\n--8<-- \"(.*)\"\n```$"
    included = re.findall(blocks, (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "extending").glob("[!_]*.py")}
    assert set(included) == {name for name in files if "/test_" not in name}


def modules_named() -> set[str]:
    return {name for path in READ for name in re.findall(r"python -m (jaxae[\w.]*\w)", path.read_text())}


def test_every_module_exists():
    assert len(modules_named()) >= 5
    for module in modules_named():
        assert importlib.util.find_spec(module) is not None, module


def help_of(module: str, monkeypatch, capsys) -> str:
    """What ``python -m MODULE --help`` prints."""
    arguments = ["prepare", "--help"] if module == "jaxae.data" else ["--help"]
    if module == "jaxae.torch_weights":
        arguments = ["import", "--help"]
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    command = importlib.import_module(module)
    command = command if hasattr(command, "main") else importlib.import_module(f"{module}.__main__")
    with pytest.raises(SystemExit) as end:
        command.main()
    assert end.value.code == 0
    return capsys.readouterr().out


@pytest.mark.slow
def test_every_option_exists(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    alike = {f"jaxae.experiments.{name}" for name in ("cifar10_denoise", "cifar10_reconstruct", "photo_denoise")}
    helps = "".join(help_of(module, monkeypatch, capsys) for module in sorted(modules_named() - alike))
    for path in READ:
        text = path.read_text()
        named = re.findall(r"`(--[a-z][a-z.-]+)", text)
        for line in re.findall(r"^ *python -m jaxae.*$", text, flags=re.MULTILINE):
            named += re.findall(r"(?<= )--[a-z][a-z.-]+", line)
        for option in named:
            assert option in helps, (path.name, option)


def test_every_link_leads_somewhere():
    for path in [*READ, ROOT / "CHANGELOG.md"]:
        for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", path.read_text()):
            assert (path.parent / link).exists(), (path.name, link)


def test_the_site_and_its_index_name_every_page():
    index, site = (DOCS / "index.md").read_text(), (ROOT / "mkdocs.yml").read_text()
    for path in DOCS.rglob("*.md"):
        name = path.relative_to(DOCS).as_posix()
        assert f": {name}\n" in site, name
        assert name == "index.md" or f"]({name})" in index, name


def reference() -> list[tuple[str, str]]:
    """The module and name of all that the pages of reference show."""
    found = []
    for path in (DOCS / "reference").glob("*.md"):
        for module, options in re.findall(r"^::: (\S+)\n((?: {4}.*\n)*)", path.read_text(), flags=re.MULTILINE):
            for members in re.findall(r"members: \[(.*)\]", options):
                found += [(module, name) for name in members.split(", ")]
    return found


def test_the_reference_shows_what_exists_and_is_explained():
    assert len(reference()) > 50
    for module, name in reference():
        assert getattr(importlib.import_module(module), name).__doc__, (module, name)


@pytest.mark.parametrize("module", ["jaxae.data", "jaxae.noise", "jaxae.training"])
def test_the_reference_shows_all_that_a_package_offers(module):
    shown = {name for _, name in reference()}
    package = importlib.import_module(module)
    assert {name for name in package.__all__ if callable(getattr(package, name))} <= shown
