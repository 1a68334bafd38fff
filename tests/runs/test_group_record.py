import dataclasses

import pytest

from jaxae import extensions
from jaxae.errors import UserError
from jaxae.experiments.sweep import SweepConfig
from jaxae.runs import group_record

CONFIG = SweepConfig(seeds=("0..2",))


def test_a_group_goes_on_as_it_was_begun(tmp_path):
    record = tmp_path / "sweep" / "sweep.json"
    group_record.check_group(record, CONFIG)  # there is nothing yet
    record.parent.mkdir()
    group_record.check_group(record, CONFIG)
    group_record.write_group(record, CONFIG)
    assert group_record.read_group(record, SweepConfig) == CONFIG
    group_record.check_group(record, CONFIG)
    other = dataclasses.replace(CONFIG, seeds=("7",))
    with pytest.raises(UserError, match=r"holds other runs: --seeds was \('0..2',\), is \('7',\); name another"):
        group_record.check_group(record, other)
    group_record.check_group(record, other, ignored={"--seeds"})


def test_a_directory_without_a_group_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=r"sweep.json cannot be read: .*; name another `run_dir`"):
        group_record.check_group(tmp_path / "sweep.json", CONFIG)
    with pytest.raises(UserError, match="cannot be read"):
        group_record.check_group(tmp_path / "notes.txt" / "sweep.json", CONFIG)


def test_a_group_names_the_modules_that_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(extensions, "_imported", ["my_networks"])
    group_record.write_group(tmp_path / "sweep.json", CONFIG)
    assert group_record.read_group(tmp_path / "sweep.json", SweepConfig) == CONFIG
    monkeypatch.setattr(extensions, "_imported", [])
    with pytest.raises(UserError, match="add --import my_networks"):
        group_record.read_group(tmp_path / "sweep.json", SweepConfig)
