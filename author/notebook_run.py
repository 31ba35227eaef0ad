"""Runs a notebook from top to bottom in a fresh kernel and says what happened. The only place that starts kernels.

`labkit run` stores what it brings back, and the tests compare it. The engine is nbclient, which emulates a front end
(widgets, `clear_output`, displays that change later). Knows no comparison and no lesson.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from author import limit
from author.canonical import WIDGET_VIEW, canonical
from author.workspace import Request, Workspace, workspace
from labkit.base.errors import LabError
from labkit.base.process_memory import Peak

CELL_SECONDS = 300.0
NOTEBOOK_SECONDS = 900.0


@dataclass
class CellRun:
    """One code cell: `number` counts code cells from 0; `failure` is a sentence when the cell did not do its part.

    `widgets` counts the live widgets that it showed: the canonical form keeps only their words.
    """

    number: int
    seconds: float = 0.0
    ran: bool = False
    widgets: int = 0
    failure: str | None = None


@dataclass
class Report:
    """What a run was like. `notebook` is the executed copy in canonical form; `stopped` says why it ended early.

    `limit` says what limited its memory; `requests` whom it and all that it started have asked.
    """

    name: str
    notebook: NotebookNode = field(repr=False)
    cells: list[CellRun]
    seconds: float = 0.0
    peak_bytes: int = 0
    memory: str = "RSS"
    limit: str = ""
    requests: list[Request] = field(default_factory=list)
    stopped: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The figures, for a report file: seconds, bytes, and what the bytes are (see `process_memory`)."""
        cells = [{"cell": cell.number, "seconds": round(cell.seconds, 3)} for cell in self.cells if cell.ran]
        figures = {"seconds": round(self.seconds, 2), "peak_bytes": self.peak_bytes, "memory": self.memory}
        return {"notebook": self.name, **figures, "limit": self.limit, "stopped": self.stopped, "cells": cells}


def execute(
    notebook: Path | NotebookNode,
    *,
    cell_seconds: float = CELL_SECONDS,
    notebook_seconds: float = NOTEBOOK_SECONDS,
    memory_bytes: float = math.inf,
    watch: Callable[[CellRun], None] | None = None,
) -> Report:
    """Run all code cells, in an empty folder, without network. The given notebook is not changed.

    The kernel and all that it starts get `memory_bytes`: by a control group where the system lets us make one, else
    they are watched, and ended when they take more.

    It goes on until a cell raises (unless tagged `raises-exception`), outlasts `cell_seconds`, the whole outlasts
    `notebook_seconds`, or the kernel dies; then `stopped` says so and the remaining cells have not run. `watch` is
    called after each cell. Seconds include the start of the kernel.
    """
    name = notebook.name if isinstance(notebook, Path) else "notebook"
    source = nbformat.read(notebook, as_version=4) if isinstance(notebook, Path) else notebook
    running = nbformat.from_dict(source)
    for cell in running.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    report = Report(name, running, [])
    began = time.monotonic()
    with workspace() as place, _kernel(running, place, report, memory_bytes) as client:
        code = [(index, cell) for index, cell in enumerate(running.cells) if cell.cell_type == "code"]
        report.cells = [CellRun(number) for number in range(len(code))]
        for cell_run, (index, cell) in zip(report.cells, code, strict=True):
            left = notebook_seconds - (time.monotonic() - began)
            client.timeout = max(1, int(min(cell_seconds, left)))
            report.stopped = _run_cell(client, cell, index, cell_run)
            if watch:
                watch(cell_run)
            if report.stopped:
                break
        report.seconds = time.monotonic() - began
        report.notebook = canonical(running, place.places)
    return report


def _run_cell(client: Any, cell: NotebookNode, index: int, run: CellRun) -> str | None:
    """Run one cell; returns why the notebook cannot go on, or None."""
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    began, stopped = time.monotonic(), None
    try:
        client.execute_cell(cell, index)
        run.ran = True
        if "raises-exception" in cell.metadata.get("tags", []) and not _raised(cell):
            run.failure = "The cell is tagged raises-exception, and nothing was raised."
    except CellExecutionError as problem:
        stopped = f"Cell {run.number} raised {problem.ename}: {_first_line(problem.evalue)}"
    except CellTimeoutError:
        stopped = f"Cell {run.number} was still running after {client.timeout} seconds."
    except (DeadKernelError, RuntimeError):
        stopped = f"The kernel died in cell {run.number}{_how(client)}."
    run.seconds = time.monotonic() - began
    run.widgets = sum(WIDGET_VIEW in output.get("data", {}) for output in cell.outputs)
    run.failure = stopped or run.failure
    return stopped


def _raised(cell: NotebookNode) -> bool:
    return any(output.output_type == "error" for output in cell.outputs)


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "(no message)"


def _how(client: Any) -> str:
    """How the kernel's process ended, as the end of a sentence."""
    process = getattr(client.km.provisioner, "process", None)
    code = process.poll() if process else None
    if code is None:
        return ""
    if code >= 0:
        return f" (exit code {code})"
    name = signal.Signals(-code).name
    return f" ({name}; often: out of memory)" if name == "SIGKILL" else f" ({name})"


def _held(memory_bytes: float, group: limit.Group | None, peak: Peak) -> str:
    """What limited the memory of a run, and how many processes were ended for it."""
    if memory_bytes == math.inf:
        return ""
    ended = group.kills() if group else int(peak.over)
    how = f"control group v{group.version}" if group else "watched: no control group can be made here"
    return f"{memory_bytes / 1e9:.2f} GB, {how}{f', {ended} ended' if ended else ''}"


@contextlib.contextmanager
def _kernel(notebook: NotebookNode, place: Workspace, report: Report, memory_bytes: float) -> Iterator[Any]:
    """nbclient's client for a fresh kernel. Afterwards the report has the peak memory, and no child is left."""
    from nbclient import NotebookClient

    from author.kernel import Manager

    client = NotebookClient(
        notebook,
        kernel_manager_class=Manager,
        record_timing=False,
        ipython_hist_file=":memory:",
        startup_timeout=120,
        resources={"metadata": {"path": str(place.folder)}},
    )
    wanted = limit.group(memory_bytes) if memory_bytes < math.inf else contextlib.nullcontext()
    with place.log.open("wb") as log, wanted as group:
        try:
            client.km = client.create_kernel_manager()
            client.km.kernel_spec_manager.prefix = group.prefix if group else []
            client.start_new_kernel(env=place.environment, stderr=log)
            client.start_new_kernel_client()
        except (RuntimeError, OSError) as problem:
            said = place.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise LabError(f"No kernel could be started here: {' '.join([str(problem), *said])}") from problem
        peak = Peak(client.km.provisioner.pid, limit=memory_bytes if group is None else math.inf)
        peak.start()
        try:
            with client.setup_kernel():
                try:
                    yield client
                finally:
                    report.peak_bytes, report.memory = peak.stop(), peak.kind
                    report.limit = _held(memory_bytes, group, peak)
        finally:
            peak.end_children()
            report.requests = place.requests()
