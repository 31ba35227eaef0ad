"""The canonical executor: runs lessons and stores their outputs. Nothing else writes stored outputs.

A run that fails or is killed leaves the file as it was. Knows nothing of how cells are executed or compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat

from author.canonical import keep_what_did_not_change, text_of
from author.notebook_run import CELL_SECONDS, NOTEBOOK_SECONDS, CellRun, Report, execute
from labkit.base import cache
from labkit.base.errors import LabError

__all__ = ["Report", "Stored", "execute", "run"]


@dataclass(frozen=True)
class Stored:
    """What became of a run: its report, the positions (from 1) of the cells that differ, and whether the file does."""

    report: Report
    changed_cells: list[int]
    changed: bool


def run(
    file: Path,
    *,
    fresh: bool = False,
    check: bool = False,
    cell_seconds: float = CELL_SECONDS,
    notebook_seconds: float = NOTEBOOK_SECONDS,
    watch: Callable[[CellRun], None] | None = None,
) -> Stored:
    """Run the notebook `file` and store its outputs in canonical form, in one step.

    Outputs that say the same as the stored ones are left alone, and so are those of cells tagged
    `nbval-ignore-output` as long as no code changed; `fresh` stores all anew. `check` only looks. Raises LabError, and
    stores nothing, when the run fails or when somebody else changed the file during it.
    """
    before = file.read_bytes()
    try:
        old = nbformat.reads(before.decode("utf-8"), as_version=4)
    except ValueError as problem:
        raise LabError(f"{file.name} is not a readable notebook ({_short(problem)}).") from None
    options = {"cell_seconds": cell_seconds, "notebook_seconds": notebook_seconds}
    report = execute(file, watch=watch, **options)
    failures = [cell.failure for cell in report.cells if cell.failure]
    if failures:
        raise LabError(f"{file.name} was not stored. {failures[0]}")
    if not fresh:
        keep_what_did_not_change(report.notebook, old)
    text = text_of(report.notebook)
    pairs = enumerate(zip(report.notebook.cells, old.cells, strict=True), start=1)
    cells = [position for position, (new, was) in pairs if new != was]
    changed = text.encode() != before
    if changed and not check:
        if file.read_bytes() != before:
            raise LabError(
                f"{file.name} was changed by another program while it ran, and was not stored: run it again."
            )
        with cache.replacing(file) as part:
            part.write_bytes(text.encode())
    return Stored(report, cells, changed)


def _short(problem: Exception) -> str:
    return str(problem).splitlines()[0][:80]
