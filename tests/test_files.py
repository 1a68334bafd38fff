import errno
import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

from jaxae import files
from jaxae.errors import UserError


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


def refusing(function, number, applies=lambda *_: True):
    """`function` on a file system that answers with the error `number` where `applies` to the arguments."""

    def refuse(*arguments, **options):
        if applies(*arguments):
            raise OSError(number, os.strerror(number))
        return function(*arguments, **options)

    return refuse


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EACCES, errno.EBADF, errno.ENOSYS])  # the last three: SMB
def test_a_directory_need_not_be_synced(tmp_path, monkeypatch, number):
    def is_directory(opened):
        return os.path.isdir(f"/proc/self/fd/{opened}")

    monkeypatch.setattr(os, "fsync", refusing(os.fsync, number, is_directory))
    files.write_text(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"
    for lost in files.LOST:
        monkeypatch.setattr(os, "fsync", refusing(os.fsync, lost))
        with pytest.raises(OSError, match=os.strerror(lost)):
            files.write_text(tmp_path / "file", "other")
    assert (tmp_path / "file").read_text() == "text"


@pytest.mark.parametrize("number", files.NO_RENAME)
def test_what_cannot_be_renamed_is_copied(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "replace", refusing(os.replace, number))
    for text in ("old", "new"):
        files.write_text(tmp_path / "file", text)
        assert (tmp_path / "file").read_text() == text
    with files.replacing(tmp_path / "folder") as folder:
        folder.mkdir()
        (folder / "inner").write_text("text")
    assert (tmp_path / "folder" / "inner").read_text() == "text"
    monkeypatch.setattr(shutil, "copyfile", refusing(shutil.copyfile, errno.EACCES))
    with pytest.raises(PermissionError):
        files.write_text(tmp_path / "file", "newer")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.fixture(params=[(errno.EBADF, os.path.isdir), (errno.ENOLCK, os.path.exists), (errno.ENOSYS, os.path.exists)])
def without_locks(request, monkeypatch):
    """NFS, which locks only what is open for writing, and Lustre without `flock`, by what they answer."""
    number, applies = request.param

    def is_refused(opened, *_):
        return applies(f"/proc/self/fd/{opened}")

    monkeypatch.setattr(fcntl, "flock", refusing(fcntl.flock, number, is_refused))


def test_without_locks_another_process_is_noticed_all_the_same(tmp_path, monkeypatch, without_locks):
    holder = f"process {os.getpid()} on {socket.gethostname()}"
    with files.locked(tmp_path):
        with pytest.raises(BlockingIOError, match=holder) as seen, files.locked(tmp_path):
            pass
        assert seen.value.filename == str(tmp_path / files.LOCK)
    assert not list(tmp_path.iterdir())
    (tmp_path / files.LOCK).write_text(f"{2**40} {socket.gethostname()}")  # of a killed process
    with files.locked(tmp_path):
        pass
    (tmp_path / files.LOCK).write_text(f"{2**40} another-host")
    with pytest.raises(BlockingIOError), files.locked(tmp_path):
        pass
    threading.Timer(0.2, (tmp_path / files.LOCK).unlink).start()
    with files.locked(tmp_path, wait=True):
        assert (tmp_path / files.LOCK).exists()


def test_the_file_of_a_lock_may_itself_be_locked(tmp_path, without_locks):
    (tmp_path / "file").touch()
    with files.locked(tmp_path / "file"), pytest.raises(BlockingIOError), files.locked(tmp_path / "file"):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_a_user_without_a_home_gets_private_directories(tmp_path, monkeypatch):
    """As a container's user that is a number only."""
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    [folder] = {files.user_cache(), files.user_data()}
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    with pytest.raises(UserError, match="~/x: there is no home directory: set HOME"):
        files.local_path("~/x")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    (tmp_path / "jaxae-12345").mkdir()
    with pytest.raises(UserError, match="belongs to another user"):
        files.user_cache()
