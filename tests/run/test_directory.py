import dataclasses
import json
from pathlib import Path

import pytest

from jaxae.config import Config, DataPlace, Launch, NoiseConfig, TrainConfig
from jaxae.errors import UserError
from jaxae.run import directory

CONFIG = Config(
    noise=NoiseConfig("gaussian,salt", "0.1..0.5,0.2"), train=TrainConfig(3, 16, 1e-3, margin=0), model="mnist"
)


@pytest.fixture
def launch(tmp_path):
    return Launch(DataPlace(Path("somewhere")), run_dir=tmp_path / "run")


def resumed(launch):
    return dataclasses.replace(launch, resume=True)


def with_epochs(epochs, **changes):
    return dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, epochs=epochs), **changes)


def test_a_claimed_directory_gives_its_configuration_back(launch):
    directory.claim(CONFIG, launch)
    assert directory.is_run(launch.run_dir)
    assert directory.load_config(launch.run_dir) == CONFIG
    assert directory.load_launch(launch.run_dir) == dataclasses.replace(launch, run_dir=None)


def test_a_run_is_not_claimed_twice_but_may_be_resumed(launch):
    directory.claim(CONFIG, launch)
    with pytest.raises(UserError, match="--resume"):
        directory.claim(CONFIG, launch)
    directory.claim(CONFIG, dataclasses.replace(resumed(launch), devices=2, data=DataPlace(Path("elsewhere"))))
    assert directory.load_launch(launch.run_dir).data.dir == Path("elsewhere")


def test_only_the_plain_recipe_may_be_given_more_epochs_and_none_fewer(launch):
    directory.claim(CONFIG, launch)
    with pytest.raises(UserError, match="epochs was 3, is 2"):
        directory.claim(with_epochs(2), resumed(launch))
    directory.claim(with_epochs(5), resumed(launch))
    assert directory.load_config(launch.run_dir).train.epochs == 5


def test_the_fast_recipe_keeps_its_number_of_epochs(launch):
    directory.claim(with_epochs(3, recipe="fast"), launch)
    with pytest.raises(UserError, match="epochs was 3, is 5"):
        directory.claim(with_epochs(5, recipe="fast"), resumed(launch))


def test_resuming_what_has_not_begun_begins_it(launch):
    directory.claim(CONFIG, resumed(launch))
    assert directory.is_run(launch.run_dir)


@pytest.mark.parametrize(
    "change",
    [
        {"data": 3},
        {"seed": "0"},
        {"seed": -1},
        {"recipe": "slow"},
        {"unknown": 1},
        {"train": {"epochs": 3}},
        {"noise": {"kind": "gaussian", "factor": [1], "clip": False}},
    ],
)
def test_a_configuration_of_another_version_is_refused(launch, change):
    directory.claim(CONFIG, launch)
    path = launch.run_dir / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=r"config\.json is not a configuration of this version"):
        directory.load_config(launch.run_dir)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"data": 3}', "\x00", "[" * 100_000, "3"])
def test_a_configuration_that_is_none_is_named(launch, text):
    launch.run_dir.mkdir()
    (launch.run_dir / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json"):
        directory.load_config(launch.run_dir)


def test_the_history_is_what_was_written(launch):
    directory.claim(CONFIG, launch)
    assert directory.read_history(launch.run_dir) == []
    lines = [{"epoch": epoch} | dict.fromkeys(directory.METRICS, 0.5) for epoch in (1, 2)]
    directory.write_history(launch.run_dir, lines)
    assert directory.read_history(launch.run_dir) == lines


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"epoch": 2}', "\x00\xff", "[" * 100_000])
def test_a_damaged_line_of_metrics_is_named(launch, damage):
    directory.claim(CONFIG, launch)
    directory.write_history(
        launch.run_dir, [{"epoch": epoch} | dict.fromkeys(directory.METRICS, 0.5) for epoch in (1, 2, 3)]
    )
    path = launch.run_dir / "metrics.jsonl"
    lines = path.read_text().splitlines()
    for bad in (damage, lines[0], lines[1].replace("0.5", "NaN"), lines[1].replace("2", "true")):
        path.write_text("\n".join([lines[0], bad, lines[2]]))
        with pytest.raises(UserError, match=r"metrics\.jsonl is damaged in line 2"):
            directory.read_history(launch.run_dir)


def test_a_directory_is_held_by_one_at_a_time(launch):
    with directory.locked(launch.run_dir):
        assert list(launch.run_dir.iterdir()) == []
        with pytest.raises(UserError, match="another process is writing"), directory.locked(launch.run_dir):
            pass
    with directory.locked(launch.run_dir):
        pass


def test_what_a_killed_process_left_half_written_is_no_obstacle(launch):
    launch.run_dir.mkdir()
    (launch.run_dir / ".123-config.json").write_text("{")
    directory.claim(CONFIG, resumed(launch))
    assert sorted(path.name for path in launch.run_dir.iterdir()) == ["config.json", "launch.json"]
