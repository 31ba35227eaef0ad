"""The doctor tells what is wrong and what to do; exit code 1 only when the course cannot run."""

import dataclasses
import json

import pytest

from labkit.base import machine
from labkit.front import doctor


def statuses() -> dict[str, str]:
    return {check.name: check.status for check in doctor.checks(network=False)}


def test_a_good_machine_is_ready(course_cache, capsys):
    assert doctor.doctor([]) == 0
    text = capsys.readouterr().out
    assert "SmolLM2-135M-Instruct is here" in text and text.rstrip().endswith("This machine is ready for the course.")


def test_json_for_programs(capsys):
    assert doctor.doctor(["--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["machine"]["cores"] >= 1
    assert {check["status"] for check in document["checks"]} <= {"ok", "note", "problem"}


def test_a_missing_model_is_a_note_because_the_first_lesson_fetches_it():
    assert statuses()["Model"] == "note"


def test_an_unusable_cache_is_a_problem(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "file" / "cache"))
    assert doctor.doctor([]) == 1
    text = capsys.readouterr().out
    assert "set LABKIT_CACHE" in text and "\n1 problem: " in text


@pytest.mark.parametrize(("memory", "status"), [(10**9, "problem"), (10**12, "ok")])
def test_memory_decides(monkeypatch, memory, status):
    real = machine.detect()
    monkeypatch.setattr(machine.Machine, "available_bytes", lambda self: self.memory_bytes)
    monkeypatch.setattr(machine, "detect", lambda: dataclasses.replace(real, memory_bytes=memory))
    assert statuses()["Memory"] == status


@pytest.mark.parametrize(("version", "status"), [((3, 10, 1), "problem"), ((3, 11, 0), "ok"), ((3, 15, 0), "problem")])
def test_python_decides(monkeypatch, version, status):
    monkeypatch.setattr(doctor.sys, "version_info", version)
    assert doctor._python().status == status


def test_versions_are_compared_as_numbers():
    assert doctor._version_problem("pytest", "1.0") is None
    assert "is older than 999" in doctor._version_problem("pytest", "999")
    assert doctor._version_problem("no-such-package", "1") == "no-such-package is missing"
    assert doctor._numbers("2.13.0+cpu") == [2, 13, 0] > doctor._numbers("2.9.1")


def test_a_windows_owner_of_an_nvidia_card_learns_how_to_use_it():
    here = dataclasses.replace(machine.detect(), system="Windows", idle_gpu=machine.Gpu("RTX", 10**10, "cuda", (8, 6)))
    (check,) = [check for check in doctor._windows(here) if check.name == "CUDA"]
    assert "pytorch.org/get-started" in check.message
