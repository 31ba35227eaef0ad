"""The peak of a process tree: children count, and what they share with their parent counts once."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from labkit.base.process_memory import Peak

BLOCK = "block = bytes(bytearray(b'x')) * 200_000_000"


def peak_of(code: str) -> Peak:
    """Measure a Python that runs `code` and then waits for us."""
    ending = "\nprint('ready', flush=True)\nimport sys; sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", code + ending], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    peak = Peak(process.pid)
    peak.start()
    process.stdout.readline()
    peak.look()
    peak.stop()
    process.stdin.close()
    process.wait()  # a child whose parent is there stays a zombie, and would be waited for
    peak.end_children()
    process.stdout.close()
    return peak


def test_memory_that_is_held_is_seen():
    assert 200e6 < peak_of(BLOCK).bytes < 300e6


@pytest.mark.slow
def test_memory_that_was_given_back_is_remembered():
    peak = peak_of(f"{BLOCK}\nimport time; time.sleep(0.5)\ndel block")
    assert 200e6 < peak.bytes < 300e6


@pytest.mark.slow
@pytest.mark.skipif(not psutil.LINUX, reason="only Linux tells shared pages from private ones")
def test_what_a_fork_shares_counts_once_and_what_it_writes_counts_too():
    wait = "import time\nif child == 0:\n    {write}\n    time.sleep(60)\ntime.sleep(1.5)"
    fork = f"{BLOCK}\nimport os\nchild = os.fork()\n"
    assert 200e6 < peak_of(fork + wait.format(write="pass")).bytes < 300e6
    assert 300e6 < peak_of(fork + wait.format(write="own = bytes(bytearray(b'y')) * 100_000_000")).bytes < 400e6


def test_children_are_ended(tmp_path):
    child = "import subprocess, sys\nchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    peak = peak_of(f"{child}\nimport time; time.sleep(0.3)")
    alive = [process for process in peak.seen if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert len(peak.seen) == 2 and alive == []


def test_a_process_that_is_gone_has_no_memory():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert Peak(process.pid).stop() == 0
