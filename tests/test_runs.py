import dataclasses
import json

import pytest

from jaxae import runs
from jaxae.config import Config, TrainConfig
from jaxae.errors import UserError


@pytest.fixture
def config(tmp_path):
    return Config(train=TrainConfig(epochs=3), run_dir=tmp_path / "run")


def with_epochs(config, epochs, **changes):
    return dataclasses.replace(config, train=dataclasses.replace(config.train, epochs=epochs), **changes)


def test_a_claimed_directory_gives_its_configuration_back(config):
    runs.claim(config)
    assert runs.is_run(config.run_dir)
    assert dataclasses.replace(runs.load_config(config.run_dir), run_dir=config.run_dir) == config


def test_a_run_is_not_claimed_twice_but_may_be_resumed(config):
    runs.claim(config)
    with pytest.raises(UserError, match="--resume"):
        runs.claim(config)
    runs.claim(dataclasses.replace(config, resume=True))


def test_only_the_plain_recipe_may_be_given_more_epochs_and_none_fewer(config):
    runs.claim(config)
    with pytest.raises(UserError, match="epochs was 3, is 2"):
        runs.claim(with_epochs(config, 2, resume=True))
    runs.claim(with_epochs(config, 5, resume=True))
    assert runs.load_config(config.run_dir).train.epochs == 5


def test_the_fast_recipe_keeps_its_number_of_epochs(config):
    runs.claim(dataclasses.replace(config, recipe="fast"))
    with pytest.raises(UserError, match="epochs was 3, is 5"):
        runs.claim(with_epochs(config, 5, recipe="fast", resume=True))


def test_resuming_what_has_not_begun_begins_it(config):
    runs.claim(dataclasses.replace(config, resume=True))
    assert runs.is_run(config.run_dir)


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file.json"
    runs.write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        runs.write_json(path, {"new": object()})

    def write_half():
        with runs.replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"data": 3}', "\x00", "[" * 100_000, "3"])
def test_a_configuration_that_is_none_is_named(config, text):
    config.run_dir.mkdir()
    (config.run_dir / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json"):
        runs.load_config(config.run_dir)


def test_metrics_are_what_was_written(config):
    runs.claim(config)
    assert runs.read_metrics(config.run_dir) == []
    lines = [{"epoch": epoch} | dict.fromkeys(runs.FIGURES, 0.5) for epoch in (1, 2)]
    runs.write_metrics(config.run_dir, lines)
    assert runs.read_metrics(config.run_dir) == lines


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"epoch": 2}', "\x00\xff", "[" * 100_000])
def test_a_damaged_line_of_metrics_is_named(config, damage):
    runs.claim(config)
    runs.write_metrics(config.run_dir, [{"epoch": epoch} | dict.fromkeys(runs.FIGURES, 0.5) for epoch in (1, 2, 3)])
    path = config.run_dir / "metrics.jsonl"
    lines = path.read_text().splitlines()
    for bad in (damage, lines[0], lines[1].replace("0.5", "NaN"), lines[1].replace("2", "true")):
        path.write_text("\n".join([lines[0], bad, lines[2]]))
        with pytest.raises(UserError, match=r"metrics\.jsonl is damaged in line 2"):
            runs.read_metrics(config.run_dir)


def test_a_directory_is_held_by_one_at_a_time(config):
    with runs.locked(config.run_dir):
        assert list(config.run_dir.iterdir()) == []
        with pytest.raises(UserError, match="another process is writing"), runs.locked(config.run_dir):
            pass
    with runs.locked(config.run_dir):
        pass


def test_what_a_killed_process_left_half_written_is_no_obstacle(config):
    config.run_dir.mkdir()
    (config.run_dir / ".123-config.json").write_text("{")
    runs.claim(dataclasses.replace(config, resume=True))
    assert [path.name for path in config.run_dir.iterdir()] == ["config.json"]
