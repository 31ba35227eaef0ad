"""Progress is never lost: merged across processes, never worse, kept aside when unreadable, valid after a kill."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from labkit.base.errors import LabError
from labkit.front import progress_report
from labkit.lessons import progress


@pytest.fixture(autouse=True)
def _new_session(monkeypatch):
    monkeypatch.setattr(progress, "_session", {})


def test_a_result_never_gets_worse_and_tries_are_counted():
    for status in ("wrong", "correct", "error", "wrong"):
        progress.record("05.1", status)
    known = progress.load()["items"]["05.1"]
    assert (known["status"], known["attempts"]) == ("correct", 4)


def test_an_untouched_exercise_leaves_no_trace():
    progress.record("05.1", "unattempted")
    assert not progress.file().exists()
    assert "No exercise was tried" in progress.finish("05", seconds=60)
    assert not progress.file().exists()


def test_finish_says_how_it_went_and_adds_up_the_minutes():
    progress.record("05.1", "correct")
    for item in ("05.2", "05.3"):
        progress.record(item, "wrong")
    progress.record("05.4", "written")  # no program can grade an open answer
    assert "1 of the 3 exercises that you tried are correct, and 1 open answer written." in progress.finish(
        "05", seconds=90
    )
    progress.finish("05", seconds=90)
    assert progress.load()["lessons"]["05"]["minutes"] == 3.0
    assert progress_report.summary()["05"] == {"exercises": 4, "tried": 4, "correct": 1, "written": 1}


def test_two_processes_lose_nothing():
    program = (
        "import sys\nfrom labkit import progress\nfor n in range(60): progress.record(f'{sys.argv[1]}.{n}', 'wrong')"
    )
    both = [subprocess.Popen([sys.executable, "-c", program, lesson]) for lesson in ("01", "02")]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert len(progress.load()["items"]) == 120


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"\xff\xfe", b'{"version": 1}', b'{"version": 1, "items": {"a": 1}, "lessons": {}}']
)
def test_an_unreadable_file_is_kept_aside_and_never_overwritten(content, capsys):
    for number in (1, 2):
        progress.file().write_bytes(content)
        progress.record("05.1", "correct")
        assert progress.file().with_name(f"progress.unreadable-{number}.json").read_bytes() == content
        assert f"kept as progress.unreadable-{number}.json" in capsys.readouterr().err
    assert progress.load()["items"]["05.1"]["status"] == "correct"


def test_a_newer_file_is_refused_and_left_alone():
    newer = json.dumps({"version": 99, "what": "ever"})
    progress.file().write_text(newer, encoding="utf-8")
    with pytest.raises(LabError, match="newer version"):
        progress.record("05.1", "correct")
    assert progress.file().read_text(encoding="utf-8") == newer


def test_a_record_from_before_the_lesson_on_retrieval_is_shown_at_the_capstones_new_number(tmp_path):
    """It is read, merged and kept; what is written from then on has today's numbers."""
    known = {"status": "correct", "attempts": 2, "last": "2026-11-01"}
    lesson = {"minutes": 80.0, "finished": "2026-11-01"}
    earlier = json.dumps({"version": 1, "items": {"08.1": known, "05.1": known}, "lessons": {"08": lesson}})
    progress.file().write_text(earlier, encoding="utf-8")
    (tmp_path / "earlier.json").write_text(earlier, encoding="utf-8")
    assert progress_report.summary()["09"]["correct"] == 1
    progress.record("05.2", "correct")
    for _ in range(2):
        assert sorted(progress.load()["items"]) == ["05.1", "05.2", "09.1"]
        assert progress.load()["lessons"] == {"09": lesson}
        progress.merge_file(tmp_path / "earlier.json")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_kill_in_the_middle_leaves_a_readable_file():
    progress.record("05.1", "correct")
    program = "from labkit import progress\nn = 0\nwhile True: progress.record(f'01.{n}', 'wrong'); n += 1"
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", program])
        time.sleep(1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert progress.load()["items"]["05.1"]["status"] == "correct"
        progress.record("05.2", "wrong")  # the dead process's lock is free again


def test_a_teacher_gets_a_table_with_a_chosen_name_only(tmp_path, capsys):
    progress.record("05.1", "correct")
    target = tmp_path / "out.csv"
    assert progress_report.show(["--csv", str(target), "--name", "=cmd"]) == 0
    header, row = target.read_text(encoding="utf-8").splitlines()
    assert header == "\ufeffname,exercise,status,attempts,last", "with the mark by which spreadsheets know UTF-8"
    assert row.startswith("'=cmd,lesson 05 exercise 1,correct,1,"), "nothing that becomes a formula, number or date"
    with pytest.raises(LabError, match="cannot be written"):
        progress_report.show(["--csv", str(tmp_path / "no" / "such" / "folder.csv")])


def test_the_command_shows_a_line_a_lesson(capsys):
    progress.record("00.2", "correct")
    progress_report.show([])
    assert "lesson 00  #...  1 of 4 correct, 1 tried" in capsys.readouterr().out
    progress_report.show(["--json"])
    assert json.loads(capsys.readouterr().out)["items"]["00.2"]["attempts"] == 1


def test_a_record_from_another_machine_is_merged_and_merging_twice_changes_nothing(tmp_path, capsys):
    progress.record("05.1", "correct")
    progress.record("05.2", "wrong")
    progress.finish("05", seconds=120)
    assert progress_report.show(["--save", str(tmp_path / "mine.json")]) == 0
    progress.file().unlink()  # the other machine
    for status in ("wrong", "wrong"):
        progress.record("05.1", status)
    progress.record("05.3", "correct")
    for _ in range(2):
        assert progress_report.show(["--merge", str(tmp_path / "mine.json")]) == 0
        data = progress.load()
        assert {item: (row["status"], row["attempts"]) for item, row in data["items"].items()} == {
            "05.1": ("correct", 2),
            "05.2": ("wrong", 1),
            "05.3": ("correct", 1),
        }
        assert data["lessons"]["05"]["minutes"] == 2.0
    assert "2 exercises of" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"version": 1, "items": {"a": {}}, "lessons": {}}', '{"version": "x"}']
)
def test_what_is_no_record_is_refused_and_changes_nothing(tmp_path, content):
    progress.record("05.1", "correct")
    before = progress.file().read_bytes()
    (tmp_path / "other.json").write_text(content, encoding="utf-8")
    with pytest.raises(LabError, match="no progress file"):
        progress.merge_file(tmp_path / "other.json")
    with pytest.raises(LabError, match="cannot be read"):
        progress.merge_file(tmp_path / "missing.json")
    assert progress.file().read_bytes() == before


def test_on_colab_the_file_is_offered_and_taken_back(tmp_path):
    """In a process of its own, with the names that Colab's own module has; the browser is two functions."""
    program = """
import json, sys, types
saved = {}
files = types.ModuleType("google.colab.files")
files.download = lambda path: saved.update({"progress.json": open(path, "rb").read()})
files.upload = lambda: dict(saved)
colab = types.ModuleType("google.colab"); colab.files = files
sys.modules.update({"google": types.ModuleType("google"), "google.colab": colab, "google.colab.files": files})
import labkit
assert "no progress yet" in labkit.progress.download()
labkit.progress.record("05.1", "correct")
assert "labkit.progress.download()" in labkit.progress.finish("05", seconds=60)
print(labkit.progress.download())
labkit.progress.file().unlink()
print(labkit.progress.upload(), labkit.progress.load()["items"]["05.1"]["status"])
saved.clear()
print(labkit.progress.upload())
"""
    environment = {**os.environ, "LABKIT_CACHE": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    first, second, third = run.stdout.splitlines()
    assert "saves progress.json" in first and third == "No file was chosen: nothing was changed."
    assert second == "Welcome back: 1 exercises are known again. correct"


def test_elsewhere_it_says_where_the_file_is():
    progress.record("05.1", "correct")
    assert str(progress.file()) in progress.download() and "--merge" in progress.upload()
