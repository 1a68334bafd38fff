import json
import sys

from jaxae import __version__, info


def test_it_names_versions_devices_and_directories(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["info"])
    info.main()
    out = capsys.readouterr().out
    assert f"jaxae {__version__}" in out
    assert "device: 8 cpu: " in out
    monkeypatch.setattr(sys, "argv", ["info", "--json"])
    info.main()
    found = json.loads(capsys.readouterr().out)
    assert found["versions"]["jaxae"] == __version__
    assert [line.partition(": ")[0] for line in out.splitlines()] == list(found)
