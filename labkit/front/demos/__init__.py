"""`python lab.py demos`: each widget as a page of its own, for a projector or a stand, served by Voila until Ctrl-C.

Only this machine can open the pages, and they ask nothing of any other. Each visitor of a page gets a kernel, which
ends when the page is left. Knows the server's process; what it serves is `served`'s.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import webbrowser
from pathlib import Path

from labkit.base import network, processes
from labkit.base.errors import LabError
from labkit.front.demos import served
from labkit.world import weights

_START_SECONDS = 120
_IDLE_SECONDS = 600  # for kernels whose page never said goodbye, as when the browser was killed


def demos(argv: list[str]) -> int:
    """The command: serve the demos on 127.0.0.1, print the address, open it, stay until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="labkit demos", description="Open the course's widgets as pages without code, until Ctrl-C."
    )
    parser.add_argument("--port", type=int, default=0, help="use this port (default: any free one)")
    parser.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser")
    parser.add_argument("--dark", action="store_true", help="begin with the dark theme")
    options = parser.parse_args(argv)
    if importlib.util.find_spec("voila") is None:
        raise LabError("This needs voila: run `python lab.py demos`, or install the extra demos.")
    port = processes.require_free(options.port)
    weights.ensure()
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # end as at Ctrl-C, and leave nothing behind
    folder = Path(tempfile.mkdtemp(prefix="labkit-demos-"))
    try:
        found = served.write(folder)
        _serve(folder, port, dark=options.dark, browser=not options.no_browser, count=len(found))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _serve(folder: Path, port: int, *, dark: bool, browser: bool, count: int) -> None:
    log, address = folder / "voila.log", f"http://127.0.0.1:{port}/"
    with log.open("w", encoding="utf-8") as output:
        server = subprocess.Popen(
            _command(folder, port, dark=dark), env=_environment(folder), cwd=folder, stdout=output, stderr=output
        )
    try:
        _wait_for(address, server, log)
        print(f"{address}\n\n{count} demos, on this machine only. Ctrl-C ends them.", flush=True)
        if browser:
            webbrowser.open(address)
        server.wait()
        raise LabError(
            f"The demos have ended by themselves ({processes.last_words(log)[:200]}): run the same command again."
        )
    except KeyboardInterrupt:
        print("\nThe demos are closed.", flush=True)
    finally:
        processes.stop(server, 20)  # it ends its kernels, which also end by themselves once it is gone


def _command(folder: Path, port: int, *, dark: bool) -> list[str]:
    options = {
        "Voila.ip": "127.0.0.1",
        "Voila.port_retries": 0,
        "VoilaConfiguration.template": served.TEMPLATE,
        "VoilaConfiguration.theme": "dark" if dark else "light",
        "VoilaConfiguration.classic_tree": True,  # our own list in place of the file browser
        "VoilaConfiguration.allow_template_override": "NO",
        "MappingKernelManager.cull_idle_timeout": _IDLE_SECONDS,
        "MappingKernelManager.cull_interval": 60,
        "VoilaExecutor.timeout": 300,
    }
    command = [sys.executable, "-m", "voila", str(folder / "notebooks"), "--no-browser", f"--port={port}"]
    # The demos need only the widgets, whatever else is installed in this JupyterLab.
    for name in ("@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8"):
        command += ["--VoilaConfiguration.extension_allowlist", name]
    return command + [f"--{name}={value}" for name, value in options.items()]


def _environment(folder: Path) -> dict[str, str]:
    """The server finds our template and labkit, and reads no settings of the person's own Jupyter."""
    jupyter = [str(folder / "jupyter"), os.environ.get("JUPYTER_PATH", "")]
    return processes.child_environment(
        JUPYTER_PATH=os.pathsep.join(filter(None, jupyter)),
        JUPYTER_CONFIG_DIR=str(folder / "config"),
        JUPYTER_DATA_DIR=str(folder / "data"),
        PYTHONUTF8="1",
    )


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:
            network.open_local(address, 5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise LabError(f"The demos did not start ({processes.last_words(log)[:200]}): run the same command again.")
