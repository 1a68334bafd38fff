import dataclasses
import errno
import json
from pathlib import Path

import pytest

from jaxae import extensions, files
from jaxae.config import Config, DataConfig, DataPlace, Launch, NoiseConfig, TrainConfig
from jaxae.errors import UserError
from jaxae.runs import directory
from jaxae.runs.fingerprint import Fingerprint

CONFIG = Config(
    data=DataConfig("digits"),
    noise=NoiseConfig("gaussian,salt", "0.1..0.5,0.2"),
    train=TrainConfig(3, 16, 1e-3, lsuv=False, reflect_padding=0),
    network="mnist",
)

RECORD = {"epoch": 0, "train_loss": 0.5, "mse": 0.5, "psnr": 0.5, "images_per_second": 0.5, "compile_seconds": 0.5}


@pytest.fixture
def launch(tmp_path):
    return Launch(DataPlace(Path("somewhere")), run_dir=tmp_path / "run")


def resumed(launch):
    return dataclasses.replace(launch, resume=True)


def claim(config, launch, **changes):
    directory.claim(launch.run_dir, config, launch, **changes)


def with_epochs(epochs, **changes):
    return dataclasses.replace(CONFIG, train=dataclasses.replace(CONFIG.train, epochs=epochs), **changes)


def test_a_claimed_directory_gives_its_configuration_back(launch):
    claim(CONFIG, launch)
    assert directory.is_run(launch.run_dir)
    assert directory.load_config(launch.run_dir) == CONFIG
    assert directory.load_launch(launch.run_dir) == dataclasses.replace(launch, run_dir=None)


def test_a_run_is_not_claimed_twice_but_may_be_resumed(launch):
    claim(CONFIG, launch)
    with pytest.raises(UserError, match="`resume`"):
        claim(CONFIG, launch)
    claim(CONFIG, dataclasses.replace(resumed(launch), devices=2, data=DataPlace(Path("elsewhere"))))
    assert directory.load_launch(launch.run_dir).data.dir == Path("elsewhere")


def test_a_run_may_be_prolonged_where_the_recipe_allows_it_and_never_shortened(launch):
    claim(CONFIG, launch)
    with pytest.raises(UserError, match="epochs was 3, is 2"):
        claim(with_epochs(2), resumed(launch), may_prolong=True)
    claim(with_epochs(5), resumed(launch), may_prolong=True)
    assert directory.load_config(launch.run_dir).train.epochs == 5


def test_otherwise_a_run_keeps_its_number_of_epochs(launch):
    claim(with_epochs(3, recipe="fast"), launch)
    with pytest.raises(UserError, match="epochs was 3, is 5"):
        claim(with_epochs(5, recipe="fast"), resumed(launch))


def test_a_data_set_may_get_another_name_where_that_is_allowed(launch):
    data = Fingerprint(90, 10, "a", "b")
    claim(CONFIG, launch, data=data)
    moved = dataclasses.replace(CONFIG, data=DataConfig("digits_small"))
    with pytest.raises(UserError, match=r"--data\.name was digits, is digits_small"):
        claim(moved, resumed(launch), data=data)
    with pytest.raises(UserError, match="as many test images, but others"):
        claim(moved, resumed(launch), data=dataclasses.replace(data, test_digest="c"), may_move=True)
    claim(moved, resumed(launch), data=data, may_move=True)
    assert directory.load_config(launch.run_dir) == moved


def test_paths_of_a_launch_are_made_absolute(launch, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    made = directory.resolve_launch(Launch(DataPlace(Path("somewhere"))), "mnist")
    assert made.data.dir == tmp_path / "somewhere"
    assert made.run_dir.parts[0] == "runs"
    assert made.run_dir.name.startswith("mnist-")
    assert directory.resolve_launch(launch, "mnist").run_dir == launch.run_dir


def test_resuming_what_has_not_begun_begins_it(launch):
    claim(CONFIG, resumed(launch))
    assert directory.is_run(launch.run_dir)


@pytest.mark.parametrize(
    "change",
    [
        {"data": 3},
        {"seed": "0"},
        {"seed": -1},
        {"unknown": 1},
        {"train": {"epochs": 3, "ops": "xla"}},
        {"format": 0},
        {"format": True},
        {"format": None},
        {"noise": {"kind": "gaussian", "factor": [1], "clip": False}},
    ],
)
def test_a_configuration_that_this_version_cannot_read_is_refused(launch, change):
    claim(CONFIG, launch)
    path = launch.run_dir / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=r"config\.json cannot be read: "):
        directory.load_config(launch.run_dir)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"data": 3}', "\x00", "[" * 100_000, "3"])
def test_a_configuration_that_is_none_is_named(launch, text):
    launch.run_dir.mkdir()
    (launch.run_dir / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json"):
        directory.load_config(launch.run_dir)


def test_an_unknown_field_and_what_wrote_it_are_named(launch):
    claim(CONFIG, launch)
    path = launch.run_dir / "config.json"
    record = json.loads(path.read_text()) | {"jaxae": "9.9"}
    record["train"]["warmup"] = 3
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"unknown field train\.warmup; use jaxae 9\.9, which wrote it"):
        directory.load_config(launch.run_dir)


def test_a_run_that_needs_modules_names_them(launch, monkeypatch):
    monkeypatch.setattr(extensions, "_imported", ["json", "my_networks"])
    claim(CONFIG, launch)
    assert directory.load_config(launch.run_dir) == CONFIG
    monkeypatch.setattr(extensions, "_imported", [])
    with pytest.raises(UserError, match="add --import json --import my_networks"):
        directory.load_config(launch.run_dir)


def test_the_history_is_what_was_written(launch):
    claim(CONFIG, launch)
    assert directory.read_history(launch.run_dir) == []
    lines = [RECORD | {"epoch": 1}, RECORD | {"epoch": 2, "new_metric": 0.25}]
    directory.write_history(launch.run_dir, lines)
    assert directory.read_history(launch.run_dir) == lines
    directory.append_history(launch.run_dir, [RECORD | {"epoch": 3}])
    assert directory.read_history(launch.run_dir)[2:] == [RECORD | {"epoch": 3}]


def test_a_last_line_that_was_cut_off_is_dropped_and_no_other(launch):
    claim(CONFIG, launch)
    directory.write_history(launch.run_dir, [RECORD | {"epoch": epoch} for epoch in (1, 2)])
    path = launch.run_dir / "metrics.jsonl"
    whole = path.read_bytes()
    for cut in (1, 20):
        path.write_bytes(whole[:-cut])
        assert len(directory.read_history(launch.run_dir)) == (2 if cut == 1 else 1)
    path.write_bytes(whole[:-20] + b"\n")
    with pytest.raises(UserError, match=r"metrics\.jsonl is damaged in line 2"):
        directory.read_history(launch.run_dir)


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"epoch": 2}', "\x00\xff", "[" * 100_000])
def test_a_damaged_line_of_metrics_is_named(launch, damage):
    claim(CONFIG, launch)
    directory.write_history(launch.run_dir, [RECORD | {"epoch": epoch} for epoch in (1, 2, 3)])
    path = launch.run_dir / "metrics.jsonl"
    lines = path.read_text().splitlines()
    renamed = lines[1].replace("compile_seconds", "compile_secondz")
    for bad in (damage, renamed, lines[0], lines[1].replace("0.5", "NaN"), lines[1].replace("2", "true")):
        path.write_text("\n".join([lines[0], bad, lines[2]]))
        with pytest.raises(UserError, match=r"metrics\.jsonl is damaged in line 2"):
            directory.read_history(launch.run_dir)


def test_a_directory_is_held_by_one_at_a_time(launch):
    with directory.locked_run(launch.run_dir):
        assert list(launch.run_dir.iterdir()) == []
        with pytest.raises(UserError, match="another process is writing"), directory.locked_run(launch.run_dir):
            pass
    with directory.locked_run(launch.run_dir):
        pass


def test_what_a_killed_process_left_half_written_is_no_obstacle(launch):
    launch.run_dir.mkdir()
    (launch.run_dir / f".{2**40}-config.json").write_text("{")
    claim(CONFIG, resumed(launch))
    assert sorted(path.name for path in launch.run_dir.iterdir()) == ["config.json", "launch.json"]


def test_two_runs_of_the_same_second_get_directories_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(directory.time, "strftime", lambda _: "now")
    names = [directory.default_run_dir("mnist_denoise") for _ in range(3)]
    assert [path.name for path in names] == ["mnist_denoise-now", "mnist_denoise-now-2", "mnist_denoise-now-3"]
    assert all(path.is_dir() for path in names)


def test_a_result_goes_as_soon_as_its_run_goes_on(launch):
    claim(CONFIG, launch)
    for name in ("summary.json", "report.html"):
        (launch.run_dir / name).write_text("of fewer epochs")
    claim(CONFIG, resumed(launch))
    assert sorted(path.name for path in launch.run_dir.iterdir()) == ["config.json", "launch.json"]


def test_a_lock_that_is_a_file_is_named(launch, monkeypatch):
    monkeypatch.setattr(files, "NO_LOCKS", (errno.EAGAIN,))  # the error of a lock that is held
    with directory.locked_run(launch.run_dir), directory.locked_run(launch.run_dir):
        directory.check_run_dir(launch.run_dir, resume=False)  # the file does not make it another's
        with pytest.raises(UserError, match=r"\(process \d+ on .*; delete .*/\.lock if it has ended\)"):
            directory.locked_run(launch.run_dir).__enter__()


@pytest.mark.parametrize("name", ["caf\udce9", "two\nlines", "run[1]", "a\\b"])
def test_a_name_that_checkpoints_cannot_have_is_refused(launch, name):
    """Orbax takes the first for no text, and searches the last two as patterns: it loses what it has written."""
    with pytest.raises(UserError, match="checkpoints cannot be kept there: name another `run_dir`"):
        directory.check_run_dir(launch.run_dir / name, resume=False)


def test_signs_and_letters_of_any_script_are_names(launch):
    directory.check_run_dir(launch.run_dir / "*?#% 文字 é", resume=False)
