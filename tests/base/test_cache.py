"""The cache writes in one step or not at all, and says what to do when it cannot."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.base import cache
from labkit.base.errors import LabError


def test_root_is_where_the_learner_says(monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "new" / "über cache"))
    assert cache.root() == tmp_path / "new" / "über cache"
    for _ in range(2):
        assert cache.subfolder("a", "b").is_dir()


def test_a_cache_that_cannot_be_written_is_one_sentence(monkeypatch, tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder", encoding="utf-8")
    monkeypatch.setenv("LABKIT_CACHE", str(in_the_way / "cache"))
    with pytest.raises(LabError, match=r"cannot be written .* set LABKIT_CACHE"):
        cache.root()


def test_a_cache_without_permission_is_refused_too(monkeypatch):
    """Simulated: who runs the tests as root may write everywhere."""
    monkeypatch.setattr(cache.os, "access", lambda folder, mode: mode != os.W_OK | os.X_OK)
    with pytest.raises(LabError, match=r"cannot be written \(not writable\): set LABKIT_CACHE"):
        cache.root()


def test_replacing_shows_the_old_file_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "file.txt"
    cache.write_atomically(target, "old")
    with cache.replacing(target) as part:
        part.write_text("new", encoding="utf-8")
        assert target.read_text(encoding="utf-8") == "old"
    assert target.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_inside_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "file.txt"
    cache.write_atomically(target, "old")
    for problem in (ZeroDivisionError, OSError(5, "Input/output error")):
        with pytest.raises((ZeroDivisionError, OSError)), cache.replacing(target) as part:
            part.write_text("half", encoding="utf-8")
            raise problem
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_can_be_replaced_too(tmp_path):
    target = tmp_path / "folder"
    for content in ("one", "two"):
        with cache.replacing(target) as part:
            part.mkdir()
            (part / "file").write_text(content, encoding="utf-8")
    assert (target / "file").read_text(encoding="utf-8") == "two"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a device that is always full")
def test_a_folder_in_use_is_said_and_stays_whole(monkeypatch, tmp_path):
    """Simulated: Windows does not rename a folder in which a file is open, and says so with this error."""
    target = tmp_path / "model"
    target.mkdir()
    (target / "weights").write_text("old", encoding="utf-8")
    real = cache.Path.rename

    def rename(path, to):
        if path == target:
            raise PermissionError(13, "Access is denied")
        return real(path, to)

    monkeypatch.setattr(cache.Path, "rename", rename)
    said = pytest.raises(LabError, match="is in use: close other notebooks")
    with monkeypatch.context() as windows, said, cache.replacing(target) as part:
        part.mkdir()
        windows.setattr(cache.os, "name", "nt")
    assert (target / "weights").read_text(encoding="utf-8") == "old" and list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path):
    target = tmp_path / "file.txt"
    cache.write_atomically(target, "old")
    with pytest.raises(LabError, match="disk is full"), cache.replacing(target), open("/dev/full", "w") as full:  # noqa: PTH123
        full.write("x" * 100_000)
    assert target.read_text(encoding="utf-8") == "old"


def test_too_little_space_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(LabError, match=r"Fetching needs 1,000,000,000,000 MB .* are free: .* set LABKIT_CACHE"):
        cache.require_space(cache.subfolder("models"), 10**18, "Fetching")
    # Another folder for the cache would not help what is written beside it.
    with pytest.raises(LabError, match=r"A checkpoint needs .* are free: make room\.$"):
        cache.require_space(tmp_path, 10**18, "A checkpoint")


def test_parts_of_writers_that_are_gone_are_swept_and_those_of_others_stay(tmp_path):
    here = cache.host()
    makers = (f"{here}.{os.getpid()}", f"{here}.{2**31 - 1}", f"{here}.nobody", f"another.{2**31 - 1}", "old.7", "7")
    parts = [tmp_path / f".file.txt.{maker}.x_y.part" for maker in makers]
    for part in parts:
        part.mkdir()
        (part / "file.txt").touch()
    for part in parts[4:]:
        os.utime(part, (0, 0))
    cache.write_atomically(tmp_path / "file.txt", "new")
    # Of another machine, whose processes cannot be seen from here, only what is days old goes.
    assert sorted(tmp_path.iterdir()) == sorted([parts[0], parts[3], tmp_path / "file.txt"])


def test_a_quota_is_told_from_a_full_disk(tmp_path):
    with pytest.raises(LabError, match=r"\(quota\) is used up: make room"), cache.replacing(tmp_path / "file"):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")


def test_a_relative_cache_is_the_same_folder_for_what_is_started_elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABKIT_CACHE", "here/cache")
    assert cache.root() == tmp_path / "here" / "cache"
    assert os.environ["LABKIT_CACHE"] == str(tmp_path / "here" / "cache")


def test_one_at_a_time_and_nobody_for_ever(tmp_path):
    with cache.locked(tmp_path / "lock"):
        lock = f"cache.locked(pathlib.Path({str(tmp_path / 'lock')!r}), 0.1)"
        program = f"import pathlib; from labkit.base import cache; {lock}.__enter__()"
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "Timeout" in run.stderr
    with cache.locked(tmp_path / "lock", 0.1):
        pass


@pytest.mark.skipif(os.name != "posix", reason="flock is a call of Unix")
def test_a_file_system_without_locks_does_without(tmp_path):
    """Simulated: NFS without its lock service answers flock with ENOLCK. What is written still appears whole."""
    program = """
import errno, fcntl, os, pathlib, sys
def flock(*_): raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
fcntl.flock = flock
import labkit
from labkit import progress
progress.record("05.1", "correct")
print(progress.load()["items"]["05.1"]["status"])
from labkit.world.services import records
with records.locked("model", 1): print("alone")
"""
    settings = {**os.environ, "LABKIT_CACHE": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=settings)
    assert run.stdout.split() == ["correct", "alone"], run.stderr


KILLED = """
import os, signal, pathlib
from labkit import cache
with cache.replacing(pathlib.Path({target!r})) as part:
    part.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_writer_leaves_a_part_that_the_next_writer_removes(tmp_path):
    target = tmp_path / "file.txt"
    cache.write_atomically(target, "old")
    subprocess.run([sys.executable, "-c", KILLED.format(target=str(target))], check=False)
    assert target.read_text(encoding="utf-8") == "old"
    assert len(list(tmp_path.iterdir())) == 2
    cache.write_atomically(target, "new")
    assert list(tmp_path.iterdir()) == [target]
