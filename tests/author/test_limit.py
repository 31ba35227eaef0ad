"""A limit on memory holds: over a process and its children, by a control group or, without one, by watching."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time

import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from author import limit, notebook_run
from labkit.base.process_memory import Peak

LIMIT = 150_000_000
LITTLE, MUCH = (f"block = bytes(bytearray(b'x')) * {size:,}".replace(",", "_") for size in (50_000_000, 10**9))


@pytest.fixture
def group():
    with limit.group(LIMIT) as made:
        if made is None:
            pytest.skip("no control group can be made here")
        yield made


def test_a_group_holds_what_is_started_in_it_and_its_children(group):
    assert subprocess.run([*group.prefix, sys.executable, "-c", LITTLE]).returncode == 0
    assert group.kills() == 0
    child = f"import subprocess, sys; print(subprocess.run([sys.executable, '-c', {MUCH!r}]).returncode)"
    for program in (MUCH, child):
        before = group.kills()
        subprocess.run([*group.prefix, sys.executable, "-c", program], capture_output=True)
        assert group.kills() == before + 1


def test_a_group_ends_what_is_left_in_it(group):
    process = subprocess.Popen([*group.prefix, sys.executable, "-c", "import time; time.sleep(60)"])
    while process.pid not in group.pids():
        time.sleep(0.01)
    limit._remove(group)
    assert process.wait(timeout=10) == -9
    assert not group.folder.exists()


@pytest.mark.parametrize(("program", "over"), [(LITTLE, False), (MUCH, True)])
def test_without_a_group_a_process_is_watched(program, over):
    child = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {program + '; import time; time.sleep(9)'!r}])"
    )
    process = psutil.Popen([sys.executable, "-c", child])
    peak = Peak(process.pid, limit=LIMIT)
    peak.start()
    deadline = time.monotonic() + 10
    while not peak.over and peak.bytes < 60e6 and time.monotonic() < deadline:
        time.sleep(0.05)
    ended = over and process.wait(timeout=10) != 0
    peak.stop()
    peak.end_children()
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
    process.wait()
    assert (peak.over, ended) == (over, over)


@pytest.mark.slow
@pytest.mark.parametrize("possible", [True, False])
def test_a_notebook_that_needs_more_than_it_is_given_says_so(monkeypatch, possible):
    if not possible:
        monkeypatch.setattr(limit, "_parents", lambda: [])
    cells = [new_code_cell(source) for source in ("print(1)", f"{MUCH}; import time; time.sleep(1)", "print(2)")]
    report = notebook_run.execute(new_notebook(cells=cells), memory_bytes=4e8)
    assert report.stopped.startswith("The kernel died in cell 1")
    assert "0.40 GB, " in report.limit and "1 ended" in report.limit
    assert possible or "watched" in report.limit
    assert notebook_run.execute(new_notebook(cells=cells[:1]), memory_bytes=4e8).stopped is None
