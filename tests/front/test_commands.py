"""Learners' copies: made without outputs, renewed while untouched, never overwritten once edited."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import nbformat
import psutil
import pytest

from labkit.base import assets, network, processes
from labkit.base.errors import LabError
from labkit.front import commands


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
    assert commands.copy_lessons(tmp_path / "work") == []
    cell = nbformat.read(tmp_path / "work" / "05_running_locally.ipynb", as_version=4).cells[0]
    assert (cell.outputs, cell.execution_count) == ([], None)


def test_an_untouched_copy_is_renewed_and_an_edited_one_is_kept(course, tmp_path):
    folder = tmp_path / "work"
    commands.copy_lessons(folder)
    write_lesson(folder / "05_running_locally.ipynb", "my own work")
    for name in ("00_start_here", "05_running_locally"):
        write_lesson(course / f"{name}.ipynb", "2 + 2")
    assert commands.copy_lessons(folder) == ["05_running_locally.ipynb"]
    assert source(folder / "00_start_here.ipynb") == "2 + 2"
    assert source(folder / "05_running_locally.ipynb") == "my own work"


def test_an_edited_copy_of_the_same_version_is_not_called_old(course, tmp_path):
    folder = tmp_path / "work"
    commands.copy_lessons(folder)
    write_lesson(folder / "05_running_locally.ipynb", "my own work")
    assert commands.copy_lessons(folder) == []


@pytest.mark.parametrize("record", ["{", "[]", '{"00_start_here.ipynb": 1}', ""])
def test_a_broken_record_never_costs_the_learner_anything(course, tmp_path, record):
    folder = tmp_path / "work"
    commands.copy_lessons(folder)
    write_lesson(folder / "05_running_locally.ipynb", "my own work")
    (folder / ".labkit.json").write_text(record, encoding="utf-8")
    commands.copy_lessons(folder)
    assert source(folder / "05_running_locally.ipynb") == "my own work"


def test_reset_gives_a_fresh_copy_and_keeps_every_old_one(course, tmp_path, capsys):
    folder = tmp_path / "work"
    commands.copy_lessons(folder)
    for number in (1, 2):
        write_lesson(folder / "05_running_locally.ipynb", f"try {number}")
        assert commands.reset(["5"]) == 0
        assert source(folder / f"05_running_locally.mine-{number}.ipynb") == f"try {number}"
        assert source(folder / "05_running_locally.ipynb") == "1 + 1"
    assert "kept as work/05_running_locally.mine-2.ipynb" in capsys.readouterr().out


def test_a_lesson_that_is_not_there_names_those_that_are(course):
    with pytest.raises(LabError, match="has 00, 05"):
        commands.reset(["07"])


def test_a_port_in_use_is_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LabError, match=r"Port \d+ is in use"):
            commands.lab(["--no-browser", "--port", str(taken.getsockname()[1])])


# `labkit lab` in the current folder, where it does not meet a learner's own.
LAB = """
import sys
from pathlib import Path
from labkit import assets
from labkit.front import commands
assets.root = Path.cwd
sys.exit(commands.lab(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="a terminal's Ctrl-C cannot be sent on Windows")
@pytest.mark.skipif(not find_spec("jupyterlab"), reason="JupyterLab is not installed")
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "SIGHUP"])
def test_lab_opens_a_lesson_in_jupyterlab_until_it_is_told_to_end(course_cache, tmp_path, how):
    port = processes.require_free(0)
    command = [sys.executable, "-c", LAB, "5", "--no-browser", "--port", str(port), "--IdentityProvider.token=word"]
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True, **pipes)

    def ask(path: str) -> str:
        with network.open_local(f"http://127.0.0.1:{port}/{path}?token=word", 20) as answer:
            return answer.read().decode("utf-8")

    try:
        for _ in range(600):
            try:
                assert json.loads(ask("api"))["version"]
                break
            except OSError:
                assert process.poll() is None, process.stdout.read()
                time.sleep(0.1)
        assert json.loads(ask("api/contents/work/05_running_locally.ipynb"))["type"] == "notebook"
        assert "jupyter-config-data" in ask("lab/tree/work/05_running_locally.ipynb")
        kernel = urllib.request.Request(f"http://127.0.0.1:{port}/api/kernels?token=word", data=b"{}")
        with network.open_local(kernel, 20):
            began = psutil.Process(process.pid).children(recursive=True)
        assert len(began) >= 2  # JupyterLab and a kernel
        if how == "Ctrl-C":
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.Signals[how])  # to it alone
        output, _ = process.communicate(timeout=30)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert not psutil.wait_procs(began, timeout=5)[1]
    assert process.returncode == 0 and "\nJupyterLab is closed. Your work is in work/.\n" in output
    assert "lab/tree/work/05_running_locally.ipynb" in output
    # A kernel that is ended while it starts may show a traceback of its own; neither we nor JupyterLab do.
    assert "commands.py" not in output and "labapp" not in output and "rfc3987" not in output


def test_a_python_without_jupyterlab_is_one_sentence(monkeypatch):
    monkeypatch.setattr(commands.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LabError, match="has no JupyterLab"):
        commands.lab([])


def test_clean_asks_keeps_progress_and_counts(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    (tmp_path / "models" / "x").mkdir(parents=True)
    (tmp_path / "models" / "x" / "weights").write_bytes(b"0" * 3_000_000)
    for folder in ("local-hub", "hub-scratch"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_bytes(b"0" * 1_000_000)
    (tmp_path / "progress.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr("builtins.input", lambda _: "n")
    commands.clean([])
    assert (tmp_path / "models" / "x" / "weights").exists()
    commands.clean(["--yes"])
    assert "5 MB are free again" in capsys.readouterr().out
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
    commands.copy_lessons(tmp_path / "work")
    names = {path.name for path in (tmp_path / "work").glob("*.ipynb")}
    assert names == {path.name for path in assets.notebook_dir().glob("*.ipynb")}
    assert set(json.loads((tmp_path / "work" / ".labkit.json").read_text(encoding="utf-8"))) == names
