"""Learners' copies: made without outputs, renewed while untouched, never overwritten once edited."""

import json
import shutil
import socket
import subprocess
from pathlib import Path

import nbformat
import pytest

from labkit import assets, work
from labkit.errors import LabError


@pytest.fixture
def course(monkeypatch, tmp_path):
    """A course with two small lessons, in a folder of the test's own."""
    shipped = tmp_path / "notebooks"
    shipped.mkdir()
    for name in ("00_start_here", "05_running_locally"):
        write_lesson(shipped / f"{name}.ipynb", "1 + 1")
    monkeypatch.setattr(assets, "notebook_dir", lambda: shipped)
    monkeypatch.setattr(assets, "root", lambda: tmp_path)
    return shipped


def write_lesson(path: Path, source: str) -> None:
    cell = nbformat.v4.new_code_cell(source, execution_count=1, outputs=[nbformat.v4.new_output("stream", text="2")])
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)


def source(path: Path) -> str:
    return nbformat.read(path, as_version=4).cells[0].source


def test_copies_have_no_outputs_that_would_answer_the_question(course, tmp_path):
    assert work.copy_lessons(tmp_path / "work") == []
    cell = nbformat.read(tmp_path / "work" / "05_running_locally.ipynb", as_version=4).cells[0]
    assert (cell.outputs, cell.execution_count) == ([], None)


def test_an_untouched_copy_is_renewed_and_an_edited_one_is_kept(course, tmp_path):
    folder = tmp_path / "work"
    work.copy_lessons(folder)
    write_lesson(folder / "05_running_locally.ipynb", "my own work")
    for name in ("00_start_here", "05_running_locally"):
        write_lesson(course / f"{name}.ipynb", "2 + 2")
    assert work.copy_lessons(folder) == ["05_running_locally.ipynb"]
    assert source(folder / "00_start_here.ipynb") == "2 + 2"
    assert source(folder / "05_running_locally.ipynb") == "my own work"


def test_an_edited_copy_of_the_same_version_is_not_called_old(course, tmp_path):
    folder = tmp_path / "work"
    work.copy_lessons(folder)
    write_lesson(folder / "05_running_locally.ipynb", "my own work")
    assert work.copy_lessons(folder) == []


@pytest.mark.parametrize("record", ["{", "[]", '{"00_start_here.ipynb": 1}', ""])
def test_a_broken_record_never_costs_the_learner_anything(course, tmp_path, record):
    folder = tmp_path / "work"
    work.copy_lessons(folder)
    write_lesson(folder / "05_running_locally.ipynb", "my own work")
    (folder / ".labkit.json").write_text(record, encoding="utf-8")
    work.copy_lessons(folder)
    assert source(folder / "05_running_locally.ipynb") == "my own work"


def test_reset_gives_a_fresh_copy_and_keeps_every_old_one(course, tmp_path, capsys):
    folder = tmp_path / "work"
    work.copy_lessons(folder)
    for number in (1, 2):
        write_lesson(folder / "05_running_locally.ipynb", f"try {number}")
        assert work.reset(["5"]) == 0
        assert source(folder / f"05_running_locally.mine-{number}.ipynb") == f"try {number}"
        assert source(folder / "05_running_locally.ipynb") == "1 + 1"
    assert "kept as work/05_running_locally.mine-2.ipynb" in capsys.readouterr().out


def test_a_lesson_that_is_not_there_names_those_that_are(course):
    with pytest.raises(LabError, match="has 00, 05"):
        work.reset(["07"])


def test_a_port_in_use_is_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LabError, match=r"Port \d+ is in use"):
            work.lab(["--no-browser", "--port", str(taken.getsockname()[1])])


def test_clean_asks_keeps_progress_and_counts(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    (tmp_path / "models" / "x").mkdir(parents=True)
    (tmp_path / "models" / "x" / "weights").write_bytes(b"0" * 3_000_000)
    (tmp_path / "progress.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr("builtins.input", lambda _: "n")
    work.clean([])
    assert (tmp_path / "models" / "x" / "weights").exists()
    work.clean(["--yes"])
    assert "3 MB are free again" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]


@pytest.mark.skipif(assets.checkout() is None or not shutil.which("git"), reason="needs a git checkout")
def test_learners_copies_are_outside_git():
    checkout = assets.checkout()
    if not (checkout / ".git").exists():
        pytest.skip("this copy of the course is not a git checkout")
    ignored = subprocess.run(
        ["git", "check-ignore", "work/05_running_locally.ipynb"], cwd=checkout, capture_output=True
    )
    assert ignored.returncode == 0


def test_every_shipped_lesson_can_be_copied(tmp_path):
    work.copy_lessons(tmp_path / "work")
    names = {path.name for path in (tmp_path / "work").glob("*.ipynb")}
    assert names == {path.name for path in assets.notebook_dir().glob("*.ipynb")}
    assert set(json.loads((tmp_path / "work" / ".labkit.json").read_text(encoding="utf-8"))) == names
