"""How much memory a process and all its children use at the most, measured while they run.

PSS where the system tells it (Linux): a page that two processes share counts once. RSS elsewhere: shared pages count in
each. PSS is dear to read (11 ms for a process of 1 GB), so it is read only when the cheap RSS says that a new peak is
possible. Knows nothing of notebooks.
"""

from __future__ import annotations

import contextlib
import threading
import time

import psutil

INTERVAL = 0.1  # seconds between two looks
_REREAD = 1.0  # seconds after which a possible peak is read again though RSS hardly grew
_GROWTH = 4e6  # bytes of RSS growth after which it is read at once


class Peak(threading.Thread):
    """Samples the process `pid` and its descendants, ten times a second until `stop()`."""

    def __init__(self, pid: int) -> None:
        super().__init__(name="labkit-peak", daemon=True)
        self.bytes = 0
        self.kind = "PSS" if _tells_pss() else "RSS"
        self.seen: set[psutil.Process] = set()
        self._root = pid
        self._done = threading.Event()
        self._read_at, self._read_rss = 0.0, 0

    def run(self) -> None:
        while not self._done.wait(INTERVAL):
            self.look()

    def stop(self) -> int:
        """End the sampling; returns the peak in bytes."""
        self.look()
        self._done.set()
        if self.is_alive():
            self.join()
        return self.bytes

    def end_children(self) -> None:
        """Stop the descendants that were seen and outlived the process: servers that a lesson started, for example."""
        left = [process for process in self.seen if process.pid != self._root and process.is_running()]
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        for process in psutil.wait_procs(left, timeout=3)[1]:
            with contextlib.suppress(psutil.Error):
                process.kill()

    def look(self) -> None:
        """Take one sample."""
        processes = self._processes()
        self.seen |= set(processes)
        rss = sum(_bytes(process, "rss") for process in processes)
        if self.kind == "RSS":
            self.bytes = max(self.bytes, rss)
            return
        grown, old = rss > self._read_rss + _GROWTH, time.monotonic() - self._read_at > _REREAD
        # PSS is never more than RSS: below the known peak there is nothing to find.
        if rss > self.bytes and (grown or old):
            self.bytes = max(self.bytes, sum(_bytes(process, "pss") for process in processes))
            self._read_at, self._read_rss = time.monotonic(), rss

    def _processes(self) -> list[psutil.Process]:
        try:
            process = psutil.Process(self._root)
            return [process, *process.children(recursive=True)]
        except psutil.Error:
            return []


def _tells_pss() -> bool:
    try:
        return hasattr(psutil.Process().memory_full_info(), "pss")
    except (psutil.Error, OSError):
        return False


def _bytes(process: psutil.Process, kind: str) -> int:
    """0 for a process that has just ended; its RSS where its PSS may not be read."""
    try:
        return process.memory_full_info().pss if kind == "pss" else process.memory_info().rss
    except psutil.AccessDenied:
        return 0 if kind == "rss" else _bytes(process, "rss")
    except (psutil.Error, OSError):
        return 0
