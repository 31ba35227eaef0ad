"""pytest plugin: `pytest --nbval` runs a notebook by our engine and compares strictly; nbval collects and compares.

Beside nbval's cells each notebook gets an item `budget` (share of compared cells, peak memory) and an item `requests`
(nothing leaves the machine, no token goes anywhere), and each lesson an item `form` (the linter). Demos are marked
weekly, since a real JupyterLab runs their cells as well (tests/browser/test_widgets.py). Does nothing without `--nbval`
or `--nbval-lax`. Knows nothing of how a kernel is run.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from math import inf
from pathlib import Path
from typing import Any

import nbformat
import nbval.plugin as nbval
import pytest

from author import lesson_linter, limit, notebook_run
from author.canonical import SANITIZER, canonical_outputs
from author.share import FLOOR, Share, changes, share
from labkit.base.errors import LabError
from labkit.front.doctor import LESSON_BYTES
from labkit.front.lesson_list import LESSON_FILE
from labkit.lessons import course

DEMOS = "demos"  # the folder of notebooks that are one widget each


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--labkit-binder`: run notebooks in the memory that Binder has."""
    told = "run notebooks in the 2 GB that Binder has for kernel, services and Jupyter's own server"
    parser.getgroup("nbval").addoption("--labkit-binder", action="store_true", help=told)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Generator[None, list[Any], list[Any]]:
    """Collect a notebook as a `StrictFile` where nbval has one of its own."""
    found = yield
    return [
        StrictFile.from_parent(parent, path=file_path) if isinstance(each, nbval.IPyNbFile) else each for each in found
    ]


class StrictFile(nbval.IPyNbFile):
    """A notebook: it is run as a whole, before its first cell is compared."""

    report: notebook_run.Report | None = None
    failure: str | None = None

    def collect(self) -> Iterator[pytest.Item]:
        if self.path.parent.name == DEMOS:
            self.add_marker(pytest.mark.weekly)
        if LESSON_FILE.match(self.path.name):
            yield Form.from_parent(self, name="form")
        for cell in super().collect():
            told = {"cell_num": cell.cell_num, "cell": cell.cell, "options": cell.options}
            yield _unhurried(StrictCell.from_parent(self, name=cell.name, **told))
        yield _unhurried(Requests.from_parent(self, name="requests"))
        yield _unhurried(Budget.from_parent(self, name="budget"))

    def setup(self) -> None:
        self.setup_sanitize_files()

    def get_sanitize_files(self) -> list[Any]:
        return super().get_sanitize_files() or [SANITIZER]

    def run(self) -> notebook_run.Report | None:
        """The run of this notebook, made when it is first asked for; None if no kernel could be started."""
        if self.report is None and self.failure is None:
            try:
                self.report = notebook_run.execute(
                    self.path,
                    cell_seconds=self.config.option.nbval_cell_timeout,
                    memory_bytes=limit.BINDER_BYTES - limit.SERVER_BYTES if self.config.option.labkit_binder else inf,
                )
            except LabError as problem:
                self.failure = str(problem)
        return self.report

    def teardown(self) -> None:
        self.report = None


class StrictCell(nbval.IPyNbCell):
    """One code cell: it ran, it was run when it was stored, and it said the same."""

    parent: StrictFile

    def runtest(self) -> None:
        if self.options["skip"]:
            pytest.skip("tagged nbval-skip")
        report = self.parent.run()
        if report is None:
            self._once(self.parent.failure or "")
        run = report.cells[self.cell_num]
        fresh = [cell for cell in report.notebook.cells if cell.cell_type == "code"][self.cell_num].outputs
        if run.failure:
            self.raise_cell_error(run.failure, "\n".join(_traceback(fresh)))
        if not run.ran:
            pytest.skip(f"not run: {report.stopped}")
        if self.cell.execution_count is None:
            self.raise_cell_error("The cell has no stored run: `labkit run` stores one.")
        self.test_outputs = fresh
        if self.options["check"]:
            self._compare(fresh)

    def _compare(self, fresh: list[Any]) -> None:
        stored = canonical_outputs(self.cell.outputs)
        if not self._same(fresh, stored):
            self.raise_cell_error("The cell's output is not the stored one.", "\n".join(self.comparison_traceback))
        # The negative control: a comparison that passes a changed result proves nothing.
        for change, changed, allowed in changes(stored):
            if not allowed and self._same(fresh, changed):
                self.raise_cell_error(f"The comparison does not see {change} in this cell's output.")

    def _same(self, fresh: list[Any], stored: list[Any]) -> bool:
        # coalesce_streams changes what it is given.
        copies = [[nbformat.from_dict(output) for output in outputs] for outputs in (fresh, stored)]
        return self.compare_outputs(*map(nbval.coalesce_streams, copies))

    def reportinfo(self) -> tuple[Any, None, str]:
        return self.path, None, self.name

    def _once(self, failure: str) -> None:
        if self.cell_num == 0:
            self.raise_cell_error(failure)
        pytest.skip("not run: no kernel")


class _Check(pytest.Item):
    """A test of a notebook as a whole, whose failure is a list of sentences."""

    parent: StrictFile

    def problems(self) -> list[str]:
        raise NotImplementedError

    def runtest(self) -> None:
        if found := self.problems():
            raise LabError("\n".join(found))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: str | None = None) -> Any:
        if isinstance(excinfo.value, LabError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, None, str]:
        return self.path, None, self.name


class Form(_Check):
    """What the linter says of a lesson."""

    def problems(self) -> list[str]:
        return [str(problem) for problem in lesson_linter.lint(self.path)]


class Requests(_Check):
    """In the local world nothing leaves this machine, and the Hugging Face token that the kernel finds goes nowhere."""

    def problems(self) -> list[str]:
        report = self.parent.run()
        if report is None:
            pytest.skip("not run: no kernel")
        asked = {f"{one.host}:{one.port}" for one in report.requests if one.outside}
        asked = sorted(asked - course.LESSONS.get(self.path.name[:2], course.Needs()).asks)
        told = sorted({f"{one.host}:{one.port}" for one in report.requests if one.carries})
        return [
            *(f"It asked {place}: in the local world nothing leaves this machine." for place in asked),
            *(f"It sent the learner's Hugging Face token to {place}." for place in told),
        ]


class Budget(_Check):
    """Enough of a notebook is compared, in little enough memory. Its figures go into the summary."""

    def problems(self) -> list[str]:
        seen, report = share(self.parent.nb), self.parent.run()
        found = []
        if seen.compared < FLOOR * seen.with_output:
            found.append(f"Only {seen}: at least {100 * FLOOR:.0f} % have to be.")
        if report is None:
            return [*found, "The notebook was not run."]
        if report.peak_bytes > LESSON_BYTES:
            found.append(
                f"The kernel and its children took {report.peak_bytes / 1e9:.2f} GB of memory ({report.memory}) at the "
                f"peak: at most {LESSON_BYTES / 1e9:.1f} GB are allowed."
            )
        figures = {"compared": seen.compared, "with_output": seen.with_output, "complete": not report.stopped}
        figures |= {"seconds": report.seconds, "peak_bytes": report.peak_bytes, "memory": report.memory}
        figures |= {"limit": report.limit}
        self.user_properties.append(("labkit_notebook", {"name": self.path.stem, **figures}))
        if "ended" in report.limit:
            found.append(f"It needed more memory than it was given ({report.limit}).")
        return found


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line a notebook, and one for all: what was compared, how long it took, how much memory."""
    rows = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                rows += [value for name, value in report.user_properties if name == "labkit_notebook"]
    if not rows:
        return
    rows.sort(key=lambda row: row["name"])
    width = max(len("in all"), *(len(row["name"]) for row in rows))
    terminalreporter.section("notebooks")
    for row in rows:
        what = Share(row["compared"], row["with_output"])
        peak = f"peak {row['peak_bytes'] / 1e9:.2f} GB of {LESSON_BYTES / 1e9:.1f} ({row['memory']})"
        early = "" if row["complete"] else ", ended early"
        terminalreporter.write_line(f"{row['name']:<{width}}  {what}, {row['seconds']:.1f} s, {peak}{early}")
    total = Share(sum(row["compared"] for row in rows), sum(row["with_output"] for row in rows))
    seconds, peak = sum(row["seconds"] for row in rows), max(row["peak_bytes"] for row in rows)
    terminalreporter.write_line(f"{'in all':<{width}}  {total}, {seconds:.1f} s, peak {peak / 1e9:.2f} GB")
    for held in sorted({row["limit"] for row in rows} - {""}):
        binder = f"the {limit.BINDER_BYTES / 1e9:.0f} GB of Binder less {limit.SERVER_BYTES / 1e9:.2f} for its server"
        terminalreporter.write_line(f"{'memory':<{width}}  {binder}: {held}")


def _unhurried(item: pytest.Item) -> pytest.Item:
    """Lift pytest's time limit: the first item waits for the whole notebook, and the engine has limits of its own."""
    item.add_marker(pytest.mark.timeout(0))
    return item


def _traceback(outputs: list[Any]) -> list[str]:
    return [line for output in outputs if output.output_type == "error" for line in output.traceback]
