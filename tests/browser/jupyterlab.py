"""A real JupyterLab in a real Chromium, driven as a learner would: open a notebook, Run All, look.

The server gets a free port and settings of its own, so that nothing of the person running the tests is read or changed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labkit.base import assets, processes
from labkit.front import commands

# No background requests: what is left is what the page itself asks for, and the tests look at that.
CHROMIUM_FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
LOCAL = ("http://127.0.0.1", "ws://127.0.0.1", "http://localhost", "ws://localhost", "data:", "blob:", "chrome")
RUN_SECONDS = 800  # a limit for what hangs


def learners_folder(folder: Path, notebooks: list[Path]) -> Path:
    """`work/` with copies of the notebooks, as learners get them, and the pictures where the lessons look for them."""
    (folder / "work").mkdir(parents=True)
    shutil.copytree(assets.path("figures"), folder / "assets" / "figures")
    for notebook in notebooks:
        commands._place(notebook, folder / "work" / notebook.name)
    return folder


@contextlib.contextmanager
def browser(executable: str, *, width: int = 1100, height: int = 900, scale: float = 1) -> Iterator[Any]:
    """A fresh browser's context, whose pages ask for nothing by themselves."""
    from playwright.sync_api import sync_playwright

    profile_folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # Chromium may still be writing there
    with sync_playwright() as playwright, profile_folder as profile:
        options = {"viewport": {"width": width, "height": height}, "device_scale_factor": scale, "args": CHROMIUM_FLAGS}
        launch = playwright.chromium.launch_persistent_context
        context = launch(profile, executable_path=executable, headless=True, **options)
        context.set_default_timeout(120_000)
        try:
            yield context
        finally:
            context.close()


class Lab:
    """A running server. `page()` opens a browser page on one of its notebooks."""

    def __init__(self, url: str, executable: str) -> None:
        self.url = url
        self._executable = executable
        self.requests: list[str] = []

    def kernels(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.url}/api/sessions", timeout=10) as answer:
            return [session["kernel"] for session in json.load(answer)]

    def outside(self) -> list[str]:
        """The requests that left the machine."""
        return [url for url in self.requests if not url.startswith(LOCAL)]

    @contextlib.contextmanager
    def page(self, notebook: str, *, width: int = 1400, height: int = 900, scale: float = 1) -> Iterator[Any]:
        """A page with `work/NOTEBOOK` open and its kernel connected."""
        with browser(self._executable, width=width, height=height, scale=scale) as context:
            page = context.pages[0]
            page.on("request", lambda request: self.requests.append(request.url))
            page.goto(f"{self.url}/lab/tree/work/{notebook}?reset")
            page.wait_for_selector(".jp-Notebook", timeout=60_000)
            self._until(lambda: any(one["connections"] and one["execution_state"] == "idle" for one in self.kernels()))
            yield page

    def run_all(self, page: Any) -> None:
        """Menu Run, Run All Cells; returns when the last cell is done."""
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        # What is drawn may lag behind: ask the notebook's model, not the page.
        self._until(lambda: self._finished(page), RUN_SECONDS)

    def _finished(self, page: Any) -> bool:
        counts = page.evaluate(_EXECUTION_COUNTS)
        return all(count is not None for count in counts) and all(
            k["execution_state"] == "idle" for k in self.kernels()
        )

    @staticmethod
    def _until(condition: Any, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not reached within {seconds:.0f} s")
            time.sleep(0.3)

    @staticmethod
    def cells(page: Any) -> list[dict[str, Any]]:
        """The notebook as the browser holds it: `cell_type`, `execution_count`, `outputs`."""
        return page.evaluate(_CELLS)


_NOTEBOOK = "window.jupyterapp.shell.currentWidget.content.model"
_CELLS = f"() => {_NOTEBOOK}.toJSON().cells"
_EXECUTION_COUNTS = f"() => {_NOTEBOOK}.toJSON().cells.filter(c => c.cell_type == 'code').map(c => c.execution_count)"


@contextlib.contextmanager
def jupyterlab(folder: Path, executable: str, *, theme: str = "JupyterLab Light") -> Iterator[Lab]:
    """A JupyterLab server on `folder`, ended with all its kernels when the block ends."""
    port = processes.require_free(0)
    own = folder / ".jupyter"
    _settings(own / "settings", theme)
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(own / "config"),
        "JUPYTERLAB_SETTINGS_DIR": str(own / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(own / "workspaces"),
    }
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", f"--port={port}"]
    command += [f"--ServerApp.root_dir={folder}"]
    command += ["--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True", "--ServerApp.port_retries=0"]
    command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
        try:
            lab = Lab(f"http://127.0.0.1:{port}", executable)
            _wait_for(lab.url, server, folder / "server.log")
            yield lab
        finally:
            processes.stop(server, 20)


def _settings(folder: Path, theme: str) -> None:
    extension = folder / "@jupyterlab" / "apputils-extension"
    extension.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (extension / "notification.jupyterlab-settings").write_text(json.dumps(quiet), encoding="utf-8")
    (extension / "themes.jupyterlab-settings").write_text(json.dumps({"theme": theme}), encoding="utf-8")
    # As it comes, JupyterLab draws only what is near the screen; the tests look at all of a notebook.
    tracker = folder / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    tracker.parent.mkdir(parents=True)
    tracker.write_text(json.dumps({"windowingMode": "none"}), encoding="utf-8")


def _wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/api", timeout=2):
            return
        if server.poll() is not None:
            break
        time.sleep(0.3)
    raise RuntimeError(f"JupyterLab did not start: {log.read_text(encoding='utf-8')[-500:]}")
