"""User processes, and looks at other processes, for the tests of the local world."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from labkit.base import assets, processes
from labkit.world.services import http_server, records

HERE = Path(__file__).parent


class User:
    """A process that joins a service, in a process group of its own, as a kernel has."""

    def __init__(self, **keywords: Any) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(assets.PACKAGE.parent), str(HERE)])}
        new_group = {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x200}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "service_user.py"), json.dumps(keywords)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            **new_group,
        )

    def answer(self) -> Any:
        """The next line that it prints."""
        line = self.process.stdout.readline()
        assert line, f"the user process ended with {self.process.wait()}"
        return json.loads(line) if line.startswith("{") else line.strip()

    def tell(self, line: str) -> None:
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def ask(self, line: str) -> Any:
        self.tell(line)
        return self.answer()

    def end(self, number: int | None = None) -> None:
        """Let it end by itself, or by a signal."""
        if number is None:
            self.process.communicate("exit\n", timeout=30)
        else:
            self.process.send_signal(number)
            self.process.communicate(timeout=30)


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether the condition becomes true; the time limit is for broken code only."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def gone(pid: int) -> bool:
    return processes.birth(pid) is None


def listens_at(pid: int) -> set[str]:
    """The addresses at which a process accepts connections."""
    process = psutil.Process(pid)
    listed = getattr(process, "net_connections", None) or process.connections  # its name before psutil 6
    return {each.laddr.ip for each in listed(kind="inet") if each.status == psutil.CONN_LISTEN}


def kill(pid: int) -> None:
    """SIGKILL, or what Windows has."""
    os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    assert wait_until(lambda: gone(pid))


def write_state(name: str, **changes: Any) -> None:
    """Change what a state file says."""
    file = records.file(name, "json")
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


@contextlib.contextmanager
def serving(app: Any, **options: Any) -> Iterator[str]:
    """An application behind the HTTP server of the course's services, in a thread; its URL."""
    listener, server = processes.listen(0), http_server.server(app, **options)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    assert wait_until(lambda: server.started, seconds=20)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = server.force_exit = True
    thread.join(10)


def greeting(command: subprocess.Popen) -> str:
    """What a command says at a terminal, up to how it is ended."""
    lines = []
    while not lines or "Ctrl-C ends this" not in lines[-1]:
        lines.append(command.stdout.readline())
        assert lines[-1], command.communicate()
    return "".join(lines)
