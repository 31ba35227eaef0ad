"""How much memory a process and all its children use at the most, measured while they run.

The sum of their RSS, with the pages that they share counted once where the system tells private pages from shared ones
(Linux). Not PSS: there a lesson would seem smaller whenever some other program had the same libraries or weights open.
Private pages are dear to count (11 ms for a process of 1 GB), so they are counted only when the cheap RSS says that a
new peak is possible. Knows no notebook.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time

import psutil

INTERVAL = 0.1  # seconds between two looks
_REREAD = 1.0  # seconds after which a possible peak is read again though RSS hardly grew
_GROWTH = 4e6  # bytes of RSS growth after which it is read at once


class Peak(threading.Thread):
    """Samples the process `pid` and its descendants, ten times a second until `stop()`.

    They are ended when they take more than `limit` bytes; `over` says that it happened.
    """

    def __init__(self, pid: int, limit: float = math.inf) -> None:
        super().__init__(name="labkit-peak", daemon=True)
        self.bytes = 0
        self.over = False
        self._limit = limit
        self.kind = "RSS, shared once" if psutil.LINUX else "RSS"
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
        self._measure(processes)
        if self.bytes > self._limit and not self.over:
            self.over = True
            for process in processes:
                with contextlib.suppress(psutil.Error):
                    process.kill()

    def _measure(self, processes: list[psutil.Process]) -> None:
        self.seen |= set(processes)
        rss = sum(_bytes(process, "rss") for process in processes)
        if self.kind == "RSS" or len(processes) == 1:
            self.bytes = max(self.bytes, rss)
            return
        grown, old = rss > self._read_rss + _GROWTH, time.monotonic() - self._read_at > _REREAD
        # Shared pages once is never more than each time: below the known peak there is nothing to find.
        if rss > self.bytes and (grown or old):
            self.bytes = max(self.bytes, _shared_once(processes))
            self._read_at, self._read_rss = time.monotonic(), rss

    def _processes(self) -> list[psutil.Process]:
        try:
            process = psutil.Process(self._root)
            return [process, *process.children(recursive=True)]
        except psutil.Error:
            return []


def _shared_once(processes: list[psutil.Process]) -> int:
    """All private pages, and the largest amount that one process shares: mostly they share the same pages."""
    private = [_bytes(process, "uss") for process in processes]
    shared = [_bytes(process, "rss") - own for process, own in zip(processes, private, strict=True)]
    return sum(private) + max(0, *shared)


def _bytes(process: psutil.Process, kind: str) -> int:
    """RSS or private pages (uss) of a process; its RSS where counting is forbidden, 0 when it has just ended."""
    try:
        return process.memory_full_info().uss if kind == "uss" else process.memory_info().rss
    except psutil.AccessDenied:
        return 0 if kind == "rss" else _bytes(process, "rss")
    except (psutil.Error, OSError):
        return 0
