"""How soon JupyterLab answers, however it is opened. Knows processes. Knows nothing of lessons."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from typing import Any

from labkit.base import network, processes
from labkit.base.errors import LabError

_LIMIT = 300  # seconds


def until_api(command: list[str], **how: Any) -> float:
    """Seconds from the start of `command`, which opens JupyterLab, to its first answer; then it is ended.

    `how` goes to `subprocess.Popen`. LabError with its last words if it ends by itself, or takes five minutes.
    """
    port = processes.require_free(0)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        began = time.perf_counter()
        server = subprocess.Popen([*command, "--no-browser", f"--port={port}"], stdout=log, stderr=log, **how)
        try:
            while server.poll() is None and time.perf_counter() - began < _LIMIT:
                with contextlib.suppress(OSError), network.open_local(f"http://127.0.0.1:{port}/api", 5):
                    return time.perf_counter() - began
                time.sleep(0.02)
        finally:
            _end(server)
        log.seek(0)
        last = processes.last_words(log.read())
        raise LabError(f"JupyterLab ended, or took too long, before it answered ({last}).")


def _end(server: subprocess.Popen) -> None:
    """End a server and those that it started: `lab.py` starts labkit, and labkit starts JupyterLab."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        children = psutil.Process(server.pid).children(recursive=True)
        for process in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        for process in psutil.wait_procs(children, timeout=10)[1]:
            process.kill()
    server.terminate()
    server.wait()
