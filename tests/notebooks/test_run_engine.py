"""The engine runs a notebook as a front end would, in a clean place, and says how it ended."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from author import notebook_run
from author.notebook_run import execute
from labkit.base import cache
from labkit.base.errors import LabError


def texts(report: notebook_run.Report) -> list[str]:
    """What each cell shows, as plain text."""
    shown = []
    for cell in report.notebook.cells:
        parts = [o.get("text") or o.get("evalue") or o.get("data", {}).get("text/plain", "") for o in cell.outputs]
        shown.append("".join(parts))
    return shown


def test_a_rich_notebook_is_run_as_a_front_end_would(notebook):
    sample = notebook(
        "6 * 7;",
        "_ = 1\nprint('a'); print('b')",
        "from IPython.display import clear_output\nprint('gone'); clear_output(); print('here')",
        "from IPython.display import display\nhandle = display('first', display_id=True)",
        "handle.update('second')",
        "from ipywidgets import interact\n@interact(x=(0, 5))\ndef square(x=3): print('inside', x * x)",
        ("raise KeyError('lost')", "raises-exception"),
        "import sys; sys.executable",
    )
    sample.metadata["kernelspec"] = {"name": "not-on-this-machine", "display_name": "?", "language": "python"}
    report = execute(sample)
    shown = texts(report)
    assert shown[0] == "" and shown[1] == "a\nb\n" and shown[2] == "here\n"
    assert shown[3] == "'second'" and shown[4] == ""
    assert "IntSlider" in shown[5] and "inside" not in shown[5]
    assert shown[6] == "'lost'"
    assert repr(sys.executable).strip("'").endswith(shown[7].strip("'").removeprefix("PYTHON"))
    assert [cell.execution_count for cell in report.notebook.cells] == list(range(1, 9))
    assert report.stopped is None and all(cell.ran and cell.failure is None for cell in report.cells)
    assert 20e6 < report.peak_bytes < 2e9 and report.seconds > 0
    assert sample.cells[1].outputs == [], "the given notebook is left alone"


def test_widgets_that_capture_output_do_not_stall_the_run(notebook):
    cell = "from ipywidgets import interact\n@interact(x=(0, 5))\ndef show(x=3): print(x)"
    report = execute(notebook(*[cell] * 24), cell_seconds=60)
    assert all(each.ran for each in report.cells)
    assert max(each.seconds for each in report.cells) < 55, "no reply was overheard until the time limit"


def test_it_runs_in_an_empty_place_that_is_gone_afterwards(notebook, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "a-secret")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("LABKIT_MODE", "live")
    (cache.subfolder("models") / "weights").write_text("w", encoding="utf-8")
    report = execute(
        notebook(
            "from pathlib import Path\nimport os\nfrom labkit import cache\nprint(list(Path.cwd().iterdir()))",
            "root = cache.root()\nprint((root / 'models' / 'weights').read_text())",
            "(root / 'progress.json').write_text('{}')\nPath('left behind').touch()",
            "print(os.environ.get('HF_HUB_OFFLINE'), os.environ.get('LABKIT_MODE'), os.environ['PYTHONHASHSEED'])",
            "print(Path.cwd(), root, Path.home())",
            "where = str(Path.cwd())\nprint(len(where), where[::-1])",
            "print(os.environ['HF_TOKEN'], (Path(os.environ['HF_HOME']) / 'token').read_text())",
        )
    )
    shown = texts(report)
    assert shown[0] == "[]\n" and shown[1] == "w\n" and shown[3] == "None None 0\n"
    assert shown[4] == "WORK CACHE HOME\n"
    assert shown[6] == "hf_PLANTED_IN_A_VARIABLE hf_PLANTED_IN_A_FILE\n", "not the learner's own"
    backwards = shown[5].split()[1]
    assert not Path(backwards[::-1]).exists(), "the run's folder is removed"
    assert [path.name for path in cache.root().iterdir()] == ["models"], "nothing of the run is in the learner's cache"
    assert (cache.root() / "models" / "weights").exists(), "the weights outlive the run"


def test_an_error_ends_the_run_in_one_sentence(notebook):
    report = execute(notebook("print(1)", "{}['key']\nprint(2)", "print(3)"))
    assert report.stopped == "Cell 1 raised KeyError: 'key'"
    assert [cell.ran for cell in report.cells] == [True, False, False]
    assert report.cells[1].failure == report.stopped and report.cells[2].failure is None


def test_a_cell_that_promised_an_exception_has_to_raise_it(notebook):
    report = execute(notebook(("print(1)", "raises-exception"), "print(2)"))
    assert report.stopped is None, "the rest runs"
    assert report.cells[0].failure == "The cell is tagged raises-exception, and nothing was raised."


@pytest.mark.slow
@pytest.mark.parametrize("limits", [{"cell_seconds": 1}, {"notebook_seconds": 4}])
def test_a_cell_that_does_not_end_is_ended(notebook, limits):
    began = time.monotonic()
    report = execute(notebook("import time; print(1)", "time.sleep(100)", "print(2)"), **limits)
    assert report.stopped.startswith("Cell 1 was still running after")
    assert not report.cells[2].ran
    assert time.monotonic() - began < 60


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("os._exit(3)", "(exit code 3)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "(SIGKILL; often: out of memory)"),
        ("import ctypes; ctypes.string_at(0)", "(SIGSEGV)"),
    ],
)
def test_a_kernel_that_dies_is_reported_with_how(notebook, end, said):
    if sys.platform == "win32" and "SIG" in said:
        pytest.skip("Windows has no signals")
    report = execute(notebook("import os, signal", end, "print(2)"))
    assert report.stopped == f"The kernel died in cell 1 {said}."
    assert [cell.ran for cell in report.cells] == [True, False, False]


def test_a_kernel_that_cannot_start_is_one_sentence(notebook, monkeypatch, tmp_path):
    (tmp_path / "ipykernel_launcher.py").write_text("raise SystemExit('no kernel today')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(LabError, match=r"No kernel could be started here: .*no kernel today"):
        execute(notebook("1"))


@pytest.mark.slow
def test_children_are_weighed_and_do_not_outlive_the_run(notebook):
    child = "import time; block = b'x' * 300_000_000; print('ready', flush=True); time.sleep(100)"
    report = execute(
        notebook(
            f"import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=-1)",
            "child.stdout.readline()\nimport time; time.sleep(1)\nprint(child.pid)",
        )
    )
    assert report.peak_bytes > 300e6
    pid = int(texts(report)[1])
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_watch_hears_of_each_cell(notebook):
    heard = []
    execute(notebook("1", "2"), watch=lambda cell: heard.append(cell.number))
    assert heard == [0, 1]
