"""`run`, `lint` and `test` as an author types them, and `lessons`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from author import commands
from labkit.base import assets
from labkit.base.errors import LabError
from labkit.front import lesson_list
from labkit.lessons import progress

ROOT = Path(__file__).parents[2]


def labkit(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **variables}
    command = [sys.executable, "-m", "labkit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, timeout=240)


@pytest.mark.parametrize("name", ["run", "lint", "test"])
def test_help_is_there(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        getattr(commands, name)(["--help"])
    assert f"usage: labkit {name}" in capsys.readouterr().out


@pytest.mark.slow
def test_run_stores_reports_and_checks(course_cache, tmp_path):
    file = tmp_path / "sample.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("print(1)", id="a"), new_code_cell("x = 2", id="b")]), file)
    would = labkit("run", file, "--check")
    assert would.returncode == 1 and "would change: cells 1, 2" in would.stdout
    done = labkit("run", file, "--report", tmp_path / "report.json")
    assert done.returncode == 0, done.stderr
    assert "2 code cells in" in done.stdout and "stored: cells 1, 2" in done.stdout
    (row,) = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert row["notebook"] == "sample.ipynb" and row["seconds"] > 0 and row["peak_bytes"] > 1e7
    assert [cell["cell"] for cell in row["cells"]] == [0, 1] and row["memory"].startswith("RSS")
    assert "nothing changed" in labkit("run", file, "--check").stdout


@pytest.mark.slow
def test_run_says_what_failed_and_goes_on(course_cache, tmp_path):
    for name, code in (("a.ipynb", "1 / 0"), ("b.ipynb", "1 + 1")):
        nbformat.write(new_notebook(cells=[new_code_cell(code, id="a")]), tmp_path / name)
    done = labkit("run", tmp_path / "a.ipynb", tmp_path / "b.ipynb")
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert "a.ipynb was not stored. Cell 0 raised ZeroDivisionError: division by zero" in done.stdout
    assert "b: . 1 code cells" in done.stdout


def test_lint_lists_problems_and_mends_what_it_can(lesson, capsys):
    file = lesson()
    assert commands.lint([str(file)]) == 0 and capsys.readouterr().out == "No problems.\n"
    notebook = nbformat.read(file, as_version=4)
    notebook.cells[1].source = "[![old]"
    nbformat.write(notebook, file)
    assert commands.lint([str(file)]) == 1
    out = capsys.readouterr().out
    assert "05_topic.ipynb: lesson: the second cell is not the badges" in out and "problem" in out.splitlines()[-1]
    assert commands.lint([str(file), "--fix"]) == 0
    assert "badges and set-up cell written" in capsys.readouterr().out


def test_lessons_are_listed_for_people_and_for_programs(lesson, monkeypatch, capsys):
    monkeypatch.setattr(assets, "notebook_dir", lambda: lesson().parent)
    assert lesson_list.show([]) == 0
    assert capsys.readouterr().out.startswith("05   45 min  A topic\n")
    progress.record("05.1", "correct")
    assert lesson_list.show([]) == 0
    assert re.match(r"05   45 min  A topic  \(1 of \d exercises done\)\n", capsys.readouterr().out)
    assert lesson_list.show(["--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row.pop("progress")["correct"] == 1
    assert row == {"number": "05", "title": "A topic", "file": "05_topic.ipynb", "minutes": 45}


@pytest.mark.slow
def test_test_runs_what_is_named_and_returns_its_exit_code(tmp_path):
    done = labkit("test", "tests/author/test_template.py", "-q", "-k", "number")
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
    assert labkit("test", "tests/author/test_template.py", "-k", "nothing_has_this_name").returncode == 5


def test_test_outside_a_checkout_is_one_sentence(monkeypatch):
    monkeypatch.setattr(assets, "checkout", lambda: None)
    with pytest.raises(LabError, match="run this in a checkout"):
        commands.test([])


def test_test_of_a_lesson_that_is_not_there_is_one_sentence():
    done = labkit("test", "99")
    assert done.returncode == 1 and "There is no lesson or notebook '99'" in done.stderr


def test_targets(lesson):
    """What pytest is given: everything; one lesson with its exercises; or, fast, only the form of most lessons."""
    root = lesson().parents[1]
    (root / "notebooks" / "00_start.ipynb").write_bytes(lesson().read_bytes())
    (root / "tests" / "lessons" / "exercises").mkdir(parents=True)
    assert commands._targets(root, [], fast=False) == ["notebooks", "tests"]
    assert commands._targets(root, ["5"], fast=False) == ["tests/lessons/exercises", "notebooks/05_topic.ipynb"]
    assert commands._targets(root, [], fast=True) == [
        "notebooks/00_start.ipynb",
        "notebooks/05_topic.ipynb::form",
        "tests",
    ]
