"""`doctor --class` tries for real what a class will do, and says what failed in words."""

import json
import sys

import pytest

from labkit.base import assets, cache
from labkit.front import doctor, rehearsal


def by_name(found) -> dict[str, rehearsal.Check]:
    return {check.name: check for check in found}


def test_a_class_is_rehearsed(course_cache, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(assets, "root", lambda: tmp_path)
    assert doctor.doctor(["--class"]) == 0
    text = capsys.readouterr().out
    rows = {line.split()[1]: line for line in text.splitlines() if line.startswith(("ok", "note"))}
    assert rows["Kernel"].startswith("ok") and "computed in" in rows["Kernel"]
    assert rows["Servers"].startswith("ok") and "Hub answered" in rows["Servers"]
    assert "tokens/s" in rows["Answer"]
    assert "For your list:" in text and text.count("[ ]") == len(rehearsal.FOR_A_PERSON)
    assert not list(tmp_path.iterdir())


def test_json_has_the_trials_too(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(assets, "root", lambda: tmp_path)
    monkeypatch.setattr(rehearsal, "_TRIALS", {"Folder": rehearsal._folder, "Answer": rehearsal._answer})
    doctor.doctor(["--class", "--json"])
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)["checks"]}
    assert found["Folder"]["status"] == "ok"
    assert found["Answer"]["status"] == "note" and "`python lab.py setup` first" in found["Answer"]["message"]


def test_a_folder_that_cannot_be_written_and_one_that_is_synchronized(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(assets, "root", lambda: tmp_path / "file")
    assert rehearsal._folder().status == "problem"
    (tmp_path / "OneDrive - School").mkdir()
    monkeypatch.setattr(assets, "root", lambda: tmp_path / "OneDrive - School")
    assert rehearsal._folder().status == "note" and "OneDrive" in rehearsal._folder().message


def test_a_full_disk_matters_only_before_the_set_up(monkeypatch, tmp_path):
    monkeypatch.setattr(assets, "root", lambda: tmp_path)
    monkeypatch.setattr(rehearsal, "SETUP_BYTES", 1 << 60)
    assert rehearsal._room().status == "problem"
    (tmp_path / ".venv").mkdir()
    assert rehearsal._room().status == "ok"


def test_a_blocked_server_is_a_problem_with_its_reason(monkeypatch):
    """A folder that the services cannot use stands for whatever keeps them from starting."""
    (cache.root() / "services").write_text("in the way", encoding="utf-8")
    check = by_name(rehearsal.trials("Servers"))["Servers"]
    assert check.status == "problem" and check.message.startswith("The hub service could not be started (")
    assert check.message.endswith("A virus scanner or firewall may block 127.0.0.1.")


def test_a_broken_python_is_a_problem_and_the_rest_goes_on(course_cache, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    answer, power = rehearsal.trials("Answer", "Power")
    assert (answer.name, answer.status) == ("Answer", "problem") and "/no/such/python" in answer.message
    assert (power.name, power.status in ("ok", "note")) == ("Power", True)


@pytest.mark.parametrize(
    ("message", "speed"), [("it is loaded and writes 21 tokens/s", "21 tokens/s"), ("does not answer", "no answer")]
)
def test_the_line_for_the_teachers_list(message, speed):
    found = [rehearsal.Check("Network", "note", "-"), rehearsal.Check("Answer", "ok", message)]
    assert rehearsal.line(found).endswith(f": 0 problems, 1 note, {speed}")
