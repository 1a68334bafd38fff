"""What a name stands for, what is prepared when, and what happens when two processes, or a kill, come in between."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jaxae import data
from jaxae.data import available, default_data_dir, digits, official, places, prepare
from jaxae.errors import UserError
from tests.data.loading import load


@pytest.fixture
def few_digits(monkeypatch):
    monkeypatch.setattr(digits, "SIZES", {"train": 500, "test": 250})


def command(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess:
    arguments = [sys.executable, "-m", "jaxae.data", *map(str, arguments)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, env=os.environ | environment)


def test_an_embedded_data_set_is_made_on_first_use(tmp_path, few_digits):
    assert data.open("digits", tmp_path).load("test").shape == (250, 28, 28, 1)


def test_an_explicit_name_stands_for_itself(tmp_path, offline):
    with pytest.raises(
        UserError, match=r"connect to the network, or .*`python -m jaxae.data prepare mnist --from PATH"
    ):
        data.open("mnist", tmp_path)


@pytest.mark.parametrize(("status", "trouble"), [(200, None), (403, "answered with HTTP status 403")])
def test_the_probe_tells_an_answer_from_a_refusal(monkeypatch, status, trouble):
    import requests

    response = requests.Response()
    response.status_code = status
    monkeypatch.setattr(requests, "head", lambda *args, **kwargs: response)
    answer = official.why_unreachable("mnist")
    assert answer is None if trouble is None else trouble in answer


def test_no_network_with_an_explicit_mnist_is_one_quick_line(tmp_path):
    start = time.perf_counter()
    # A proxy that nobody runs: the machine has no network as far as this command can tell.
    result = command("prepare", "mnist", "--data-dir", tmp_path, HTTPS_PROXY="http://127.0.0.1:9", NO_PROXY="")
    assert time.perf_counter() - start < 10
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert "--from PATH" in result.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", "did you mean mnist?"),
        ("cifar1O", "did you mean cifar10?"),
        ("qqqqqqqq", "there is no data set 'qqqqqqqq' in"),
        ("svhn_cropped", "`pip install tensorflow`, then `tfds build svhn_cropped"),
        ("emnist/letters", "tfds build emnist/letters"),
        ("../escape", "is no data set's name"),
        ("", "is no data set's name"),
    ],
)
def test_a_name_that_cannot_be_had(tmp_path, name, message):
    with pytest.raises(UserError) as raised:
        load(name, "train", tmp_path)
    assert message in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_configs_and_versions(tmp_path, tiny_data_set):
    import tensorflow_datasets as tfds

    feature = tfds.features.Tensor(shape=(2, 2, 1), dtype=np.uint8)
    made = tiny_data_set(tmp_path / "made", {"image": feature}, {"train": [{"image": np.full((2, 2, 1), 7, np.uint8)}]})
    for place in ("letters/1.0.0", "letters/1.10.0", "digits/1.9.0"):
        (tmp_path / "emnist" / place).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(made, tmp_path / "emnist" / place)
    assert data.open("emnist/letters", tmp_path).directory.name == "1.10.0"
    assert data.open("emnist/letters:1.0.0", tmp_path).directory.name == "1.0.0"
    assert load("emnist/digits", "train", tmp_path).tolist() == [[[[7], [7]], [[7], [7]]]]
    with pytest.raises(UserError, match=r"name one of emnist/digits, emnist/letters"):
        load("emnist", "train", tmp_path)
    assert [entry.name for entry in available(tmp_path) if entry.status == "prepared"] == [
        "emnist/digits",
        "emnist/letters",
        "made/tiny",
    ]


def test_data_sets_go_to_a_place_of_their_own_and_are_found_in_tfds_too(monkeypatch, tmp_path, tiny_data_set):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert default_data_dir() == tmp_path
    assert places.data_dirs(None) == [tmp_path]
    monkeypatch.setenv("TFDS_DATA_DIR", "")  # as good as unset
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    import tensorflow_datasets as tfds

    own, theirs = tmp_path / "share" / "jaxae" / "tensorflow_datasets", tmp_path / "tensorflow_datasets"
    assert default_data_dir() == own
    assert places.data_dirs(None) == [own, theirs]
    assert places.data_dirs(theirs) == [theirs]
    feature = tfds.features.Tensor(shape=(2, 2, 1), dtype=np.uint8)
    made = tiny_data_set(theirs, {"image": feature}, {"train": [{"image": np.full((2, 2, 1), 7, np.uint8)}]})
    assert load("tiny", "train").shape == (1, 2, 2, 1)
    assert prepare("tiny") == made
    assert "tiny" in [entry.name for entry in available() if entry.status == "prepared"]
    assert not own.exists()


def test_a_place_that_cannot_be_written_or_is_full(tmp_path, monkeypatch, few_digits):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot prepare digits in .*file"):
        prepare("digits", tmp_path / "file")

    def full(split, size):
        raise OSError(28, "No space left on device")
        yield

    monkeypatch.setattr(digits, "generate", full)
    with pytest.raises(UserError, match="No space left on device"):
        prepare("digits", tmp_path)
    assert places.find_prepared("digits", tmp_path) is None


def test_embedded_data_sets_take_no_files(tmp_path):
    with pytest.raises(UserError, match="it takes no official files"):
        prepare("digits", tmp_path, tmp_path)


@pytest.mark.slow
def test_two_processes_prepare_one_data_set_once(tmp_path, real_data):
    arguments = [sys.executable, "-m", "jaxae.data", "prepare", "mnist", "--from", str(real_data / "mnist")]
    both = [
        subprocess.Popen([*arguments, "--data-dir", str(tmp_path)], stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = "".join(process.communicate(timeout=120)[1] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert said.count("preparing data set mnist") == 1
    assert "another process prepares this data set" in said
    assert [path.name for path in (tmp_path / "mnist").iterdir()] == ["3.0.1"]


@pytest.mark.slow
def test_a_killed_preparation_leaves_nothing_that_looks_prepared(tmp_path, real_data):
    arguments = [sys.executable, "-m", "jaxae.data", "prepare", "mnist", "--from", str(real_data / "mnist")]
    process = subprocess.Popen([*arguments, "--data-dir", str(tmp_path)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "mnist").glob("incomplete.*/*")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list((tmp_path / "mnist").glob("incomplete.*/*"))
    assert places.find_prepared("mnist", tmp_path) is None
    assert {entry.name: entry.status for entry in available(tmp_path)}["mnist"] == "can be downloaded"
    ensure_again = command("prepare", "mnist", "--from", real_data / "mnist", "--data-dir", tmp_path)
    assert ensure_again.returncode == 0  # and the lock went with the process
    assert load("mnist", "test", tmp_path).shape == (10_000, 28, 28, 1)


def test_the_commands_succeed_and_fail_in_one_line(prepared_data, tmp_path):
    there = command("list", TFDS_DATA_DIR=str(prepared_data))
    assert there.returncode == 0
    line = next(line for line in there.stdout.splitlines() if " mnist " in line)
    assert "prepared" in line
    assert "60,000" in line
    again = command("prepare", "mnist", "--data-dir", prepared_data)
    assert again.returncode == 0
    assert str(prepared_data / "mnist" / "3.0.1") in again.stdout
    for arguments in (
        ("prepare", "mnits"),
        ("prepare", "mnist", "--from", tmp_path / "nowhere"),
    ):
        wrong = command(*arguments, "--data-dir", tmp_path)
        assert wrong.returncode == 2
        assert "Traceback" not in wrong.stderr
        assert wrong.stderr.splitlines()[-1].split("error: ")[1]
    assert command("prepare", "--oops").returncode == 2


def test_the_room_and_a_cached_load_do_without_tfds(prepared_data):
    load("mnist", "test", prepared_data)
    code = (
        "import sys, pathlib, jaxae.data\n"
        f"jaxae.data.open('mnist', pathlib.Path({str(prepared_data)!r})).load('test')\n"
        "slow = {'tensorflow', 'tensorflow_datasets', 'jax', 'PIL', 'cv2', 'scipy', 'matplotlib', 'requests'}\n"
        "print(*slow & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


def test_a_folder_needs_no_preparation(tmp_path):
    with pytest.raises(UserError, match="needs no preparation"):
        prepare(f"folder:{tmp_path}")
