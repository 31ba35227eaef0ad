"""The doctor tells what is wrong and what to do; exit code 1 only when the course cannot run."""

import dataclasses
import json
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from labkit.base import assets, machine
from labkit.front import doctor


def statuses() -> dict[str, str]:
    return {check.name: check.status for check in doctor.checks(network=False)}


def test_a_good_machine_is_ready(course_cache, capsys):
    assert doctor.doctor([]) == 0
    text = capsys.readouterr().out
    assert "SmolLM2-135M-Instruct and all-MiniLM-L6-v2 are here" in text
    assert text.rstrip().endswith("This machine is ready for the course.")


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


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("pytest>=1.0", None),
        ("pytest>=999", "pytest 2.13.0+cpu is installed, and >=999 is needed"),
        ("pytest>=2.9.1", None),  # as numbers: 13 is more than 9
        ("pytest>=2.13", None),
        ("pytest<2.13", "pytest 2.13.0+cpu is installed, and <2.13 is needed"),
        ("no-such-package>=1", "no-such-package is missing"),
        ("no-such-package>=1; extra == 'lab'", None),
        ("no-such-package>=1; sys_platform == 'none'", None),
        ("no-such-package>=1; sys_platform != 'none'", "no-such-package is missing"),
    ],
)
def test_versions_are_compared_with_what_is_asked_for(monkeypatch, line, problem):
    installed = {"pytest": "2.13.0+cpu"}

    def version(name: str) -> str:
        if name not in installed:
            raise doctor.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(doctor.metadata, "requires", lambda _: [line])
    monkeypatch.setattr(doctor.metadata, "version", lambda name: version(name) if name in line else "1")
    (check,) = doctor._packages()
    assert check.status == ("problem" if problem else "ok")
    assert problem is None or check.message.startswith(f"{problem}: run")


def test_a_pre_release_that_is_new_enough_fits(monkeypatch):
    monkeypatch.setattr(doctor.metadata, "version", lambda _: "3.0.0rc1")
    assert doctor._version_problem(Requirement("torch>=2.11")) is None


@pytest.mark.skipif(sys.platform == "darwin", reason="the course does without bitsandbytes on a Mac")
def test_bitsandbytes_is_checked_where_it_is_needed(monkeypatch):
    real = doctor.metadata.version
    monkeypatch.setattr(doctor.metadata, "version", lambda name: "0.1" if name == "bitsandbytes" else real(name))
    if assets.checkout():
        asked = tomllib.loads((assets.CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        monkeypatch.setattr(doctor.metadata, "requires", lambda _: asked["dependencies"])
    (check,) = doctor._packages()
    assert check.message.startswith("bitsandbytes 0.1 is installed, and >=")


def test_a_windows_owner_of_an_nvidia_card_learns_how_to_use_it():
    here = dataclasses.replace(machine.detect(), system="Windows", idle_gpu=machine.Gpu("RTX", 10**10, "cuda", (8, 6)))
    (check,) = [check for check in doctor._windows(here) if check.name == "CUDA"]
    assert "pytorch.org/get-started" in check.message
