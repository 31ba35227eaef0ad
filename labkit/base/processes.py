"""Other processes: the environment of a child Python; to start, recognise and end processes that outlive us; ports.

Knows pids, births and signals on Linux, macOS and Windows. Knows nothing of services or their files.
A pid alone is not trusted: the same number can be another program's a day later, so its birth goes with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

from labkit.base import assets
from labkit.base.errors import LabError


def child_environment(*folders: str | Path, **variables: str) -> dict[str, str]:
    """The environment of a child Python: our variables and these; its path begins with `folders` and this labkit.

    A labkit that runs from a checkout is installed nowhere: without the path a child would not find it.
    """
    paths = [*map(str, folders), str(assets.PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **variables}


def last_words(said: str | Path, beginning: str = "") -> str:
    """The last line of what a program said, as text or in a file; the last one with this beginning, if there is one.

    >>> last_words("ERROR: no such package\\nWARNING: pip is old\\n", "ERROR")
    'ERROR: no such package'
    """
    text = said.read_text(encoding="utf-8", errors="replace") if isinstance(said, Path) else said
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["no reason given"]
    return next((line for line in reversed(lines) if line.startswith(beginning)), lines[-1])


def child_json(
    what: str, *arguments: str, environment: dict[str, str] | None = None, seconds: float | None = None
) -> Any:
    """The JSON that a child Python prints in its last line. LabError, with `what` and its last words, when it fails."""
    command, variables = [sys.executable, *arguments], environment or child_environment()
    run = subprocess.run(command, capture_output=True, encoding="utf-8", env=variables, timeout=seconds)
    if run.returncode:
        raise LabError(f"{what}{last_words(run.stderr)}")
    return json.loads(run.stdout.splitlines()[-1])


def start(command: list[str], output: BinaryIO, folder: Path) -> subprocess.Popen:
    """Run `command` so that it survives an interrupt or the end of this process; what it prints goes to `output`."""
    detached: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        detached = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    # Not in our folder: Windows could not delete it while the process lives.
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
    variables = child_environment(PYTHONUNBUFFERED="1")
    process = subprocess.Popen(command, cwd=folder, env=variables, **streams, **detached)
    # A child that ends before us stays as a zombie until somebody has waited for it.
    threading.Thread(target=process.wait, daemon=True, name=f"wait for {process.pid}").start()
    return process


def birth(pid: int) -> float | None:
    """When a process began, in seconds: on Linux since boot, elsewhere since 1970. None when it is gone (or a zombie).

    Since boot, because psutil derives the time of day there, which moves when the clock is set.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        boot = psutil.boot_time() if psutil.LINUX else 0.0
        return process.create_time() - boot
    except (psutil.Error, ValueError, OverflowError):  # the last two: no number that a pid can have
        return None


def is_alive(pid: int, born: float) -> bool:
    """Whether the process that was born then still runs under this pid."""
    now = birth(pid)
    return now is not None and abs(now - born) < 1


def end(pid: int, born: float) -> None:
    """Ask a process to end, and kill it after three seconds. A new process with the same pid is left alone."""
    import psutil

    for action in ("terminate", "kill"):
        if is_alive(pid, born):
            with contextlib.suppress(psutil.Error):
                getattr(psutil.Process(pid), action)()
            deadline = time.monotonic() + 3
            while is_alive(pid, born) and time.monotonic() < deadline:
                time.sleep(0.02)


def stop(child: subprocess.Popen, patience: float) -> None:
    """Ask a child to end, and kill it when it has not after `patience` seconds."""
    child.terminate()
    try:
        child.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def require_free(port: int, patience: float = 1.0) -> int:
    """`port` of 127.0.0.1, or any free one for 0. LabError when it is still taken after `patience` seconds.

    A process that has just ended may hold its port a moment longer: up to 80 ms were seen on a busy machine.
    """
    deadline = time.monotonic() + patience
    while (free := _free(port)) is None:
        if time.monotonic() >= deadline:
            raise port_taken(port)
        time.sleep(0.05)
    return free


def _free(port: int) -> int | None:
    with socket.socket() as probe:
        if os.name == "posix":  # where it only means: not blocked by connections that are closing
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return None
        return probe.getsockname()[1]


def listen(port: int, address: str = "127.0.0.1") -> socket.socket:
    """A socket that listens there, for a server to run on. LabError when the port cannot be had."""
    try:
        listener = socket.create_server((address, port), backlog=256)
    except (OSError, OverflowError):
        raise port_taken(port) from None
    # asyncio sets this only on sockets that it made itself; without it small answers wait 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def port_taken(port: int) -> LabError:
    """What every command says when it cannot have the port that was asked for."""
    return LabError(f"Port {port} is in use or not allowed: choose another, or leave out --port.")
