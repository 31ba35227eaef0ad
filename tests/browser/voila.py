"""The demos as a person at a stand opens them: the real command, its Voila, a page in a real Chromium."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil

from labkit.base import assets
from tests.browser.jupyterlab import LOCAL

READY = 200_000  # ms: a page is sent while its notebook runs, and loading a model takes its time on a busy machine


@dataclass
class Demos:
    """A running `labkit demos`, and what its pages asked for and complained of."""

    command: subprocess.Popen
    url: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def outside(self) -> list[str]:
        """The requests that left the machine."""
        return [url for url in self.requests if not url.startswith(LOCAL)]

    def kernels(self) -> list[psutil.Process]:
        """The kernels of open pages."""
        children = psutil.Process(self.command.pid).children(recursive=True)
        with contextlib.suppress(psutil.Error):
            return [child for child in children if "ipykernel_launcher" in " ".join(child.cmdline())]
        return []


def start(*arguments: str) -> subprocess.Popen:
    """`labkit demos --no-browser`, in a group of its own so that a test can send it Ctrl-C."""
    return subprocess.Popen(
        [sys.executable, "-m", "labkit", "demos", "--no-browser", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(assets.CHECKOUT)},
        start_new_session=os.name == "posix",
    )


@contextlib.contextmanager
def demos(*arguments: str) -> Iterator[Demos]:
    """The command, ready to be asked; ended with all its kernels when the block ends."""
    command = start(*arguments)
    try:
        url = command.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), command.communicate()
        yield Demos(command, url)
    finally:
        if command.poll() is None:
            command.send_signal(signal.SIGINT if os.name == "posix" else signal.SIGTERM)
        command.communicate(timeout=60)


@contextlib.contextmanager
def page(context: Any, demos: Demos, address: str = "") -> Iterator[Any]:
    """A page on `address` below the demos, left as a visitor leaves it: for the list, which ends its kernel."""
    opened = context.new_page()
    opened.on("request", lambda request: demos.requests.append(request.url))
    opened.on("pageerror", lambda error: demos.complaints.append(str(error)))
    try:
        opened.goto(demos.url + address, timeout=READY)
        yield opened
    finally:
        opened.goto(demos.url)
        opened.close()
