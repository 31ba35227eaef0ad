"""The canonical executor stores what a lesson prints, in one step, and leaves the file alone when something fails."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from author import executor
from author.workspace import workspace
from labkit.base.errors import LabError


def write(folder: Path, *sources: str, tags: dict[int, str] | None = None) -> Path:
    file = folder / "sample.ipynb"
    cells = [new_markdown_cell("# Sample", id="title")]
    for number, source in enumerate(sources):
        tag = (tags or {}).get(number)
        cells.append(new_code_cell(source, id=f"c{number}", metadata={"tags": [tag]} if tag else {}))
    nbformat.write(new_notebook(cells=cells), file)
    return file


def outputs(file: Path) -> list[str]:
    cells = nbformat.read(file, as_version=4).cells
    return ["".join(o.get("text", "") for o in cell.outputs) for cell in cells if cell.cell_type == "code"]


@pytest.mark.slow
def test_a_second_run_changes_nothing_and_a_change_is_stored(tmp_path):
    clock = "import time, os; print(time.time_ns(), object(), os.getcwd())"
    file = write(tmp_path, "print(1, object())", clock, "{1: 2}", tags={1: "nbval-ignore-output"})
    first = executor.run(file)
    assert first.changed and first.changed_cells == [2, 3, 4]
    stored = file.read_bytes()
    assert b"0xADDR" in stored and b"\r" not in stored and stored.endswith(b"}\n")
    again = executor.run(file)
    assert not again.changed and again.changed_cells == [] and file.read_bytes() == stored
    assert executor.run(file, check=True, fresh=True).changed_cells == [3]
    assert file.read_bytes() == stored, "check stores nothing"
    executor.run(file, fresh=True)
    assert outputs(file)[1] != json.loads(stored)["cells"][2]["outputs"][0]["text"]

    notebook = nbformat.read(file, as_version=4)
    notebook.cells[1].source = "print(2)"
    nbformat.write(notebook, file)
    assert executor.run(file).changed_cells == [2, 3], "the code changed: the clock is stored anew, too"
    assert outputs(file)[0] == "2\n"
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.slow
@pytest.mark.parametrize("bad", ["1 / 0", "import os; os._exit(1)", "while True: pass"])
def test_a_run_that_fails_leaves_the_file_as_it_was(tmp_path, bad):
    file = write(tmp_path, "print(1)", bad)
    before = file.read_bytes()
    with pytest.raises(LabError, match=r"sample\.ipynb was not stored\. (Cell 1|The kernel died in cell 1)"):
        executor.run(file, cell_seconds=2)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_what_another_program_wrote_meanwhile_is_not_lost(tmp_path):
    file = write(tmp_path, "print(1)")
    with pytest.raises(LabError, match="was changed by another program while it ran"):
        executor.run(file, watch=lambda cell: file.write_text("{}", encoding="utf-8"))
    assert file.read_text(encoding="utf-8") == "{}"


def test_a_file_that_is_no_notebook_is_one_sentence(tmp_path):
    file = tmp_path / "sample.ipynb"
    file.write_text("{ half", encoding="utf-8")
    with pytest.raises(LabError, match=r"sample\.ipynb is not a readable notebook"):
        executor.run(file)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_killed_in_the_middle_leaves_the_old_file(tmp_path, sent):
    reached = tmp_path / "reached"
    file = write(tmp_path, f"from pathlib import Path\nPath({str(reached)!r}).touch()\nimport time; time.sleep(30)")
    before = file.read_bytes()
    code = f"from pathlib import Path; from author import executor; executor.run(Path({str(file)!r}))"
    runner = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    for _ in range(300):
        if reached.exists():
            break
        time.sleep(0.1)
    runner.send_signal(sent)
    runner.wait(timeout=30)
    assert reached.exists() and file.read_bytes() == before
    with workspace():
        left = list(Path(tempfile.gettempdir()).glob(f"labkit-run-{runner.pid}-*"))
    assert left == [], "the next run removes what the killed one left"
