import json
import os
import subprocess
import sys
import threading
import time

import pytest

from jaxae import files


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "file.json"
    files.write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        files.write_json(path, {"new": object()})

    def write_half():
        with files.replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_appears_whole_or_not_at_all(tmp_path):
    def write(fail):
        with files.replacing(tmp_path / "made") as temporary:
            temporary.mkdir()
            (temporary / "file").write_text("x")
            if fail:
                raise RuntimeError

    with pytest.raises(RuntimeError):
        write(fail=True)
    assert list(tmp_path.iterdir()) == []
    write(fail=False)
    assert (tmp_path / "made" / "file").read_text() == "x"


def test_what_a_killed_process_left_is_found(tmp_path):
    ended = 2**40  # no process has this number
    for name in (f".{ended}-a.json", f".{os.getpid()}-a.json", ".x-a.json", "a.json", f".{ended}-b.json"):
        (tmp_path / name).touch()
    assert files.unfinished([tmp_path / "a.json"]) == [tmp_path / f".{ended}-a.json"]
    assert files.unfinished([tmp_path / "missing" / "a.json"]) == []


def test_a_lock_goes_with_its_process(tmp_path):
    program = (
        "import sys, pathlib, time; from jaxae import files\n"
        "with files.locked(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(BlockingIOError), files.locked(tmp_path):
        pass
    holder.kill()
    holder.communicate()
    with files.locked(tmp_path), pytest.raises(BlockingIOError), files.locked(tmp_path):
        pass


def test_what_replaces_is_on_the_disk_before_it_does_and_its_name_after(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace

    def note_fsync(opened):
        done.append(("sync", os.readlink(f"/proc/self/fd/{opened}")))
        fsync(opened)

    def note_replace(source, target):
        done.append(("replace", str(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    files.write_text(tmp_path / "file", "text")
    kept = f"{tmp_path}/.{os.getpid()}-"
    assert done == [("sync", f"{kept}file"), ("replace", f"{tmp_path}/file"), ("sync", str(tmp_path))]
    done.clear()
    with files.replacing(tmp_path / "folder") as folder:
        (folder / "inner").mkdir(parents=True)
        (folder / "inner" / "a").touch()
    assert [what for what, _ in done] == ["sync", "sync", "sync", "replace", "sync"]
    assert [path for _, path in done[:3]] == [f"{kept}folder/inner/a", f"{kept}folder/inner", f"{kept}folder"]


def test_what_a_thread_still_writes_after_a_failure_is_removed_too(tmp_path):
    def write_late():
        time.sleep(0.2)
        (tmp_path / f".{os.getpid()}-run" / "late").mkdir(parents=True)

    thread = threading.Thread(target=write_late)

    def fail():
        with files.replacing(tmp_path / "run") as folder:
            folder.mkdir()
            thread.start()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    thread.join()
    assert not list(tmp_path.iterdir())
