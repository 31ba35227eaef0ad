"""Small notebooks for trying the machinery on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from labkit.base import assets, processes


@pytest.fixture
def notebook():
    """Makes a notebook of code cells; a tuple is (source, tag)."""

    def make(*cells: str | tuple[str, str]) -> nbformat.NotebookNode:
        pairs = [(cell, None) if isinstance(cell, str) else cell for cell in cells]
        code = [
            new_code_cell(source, id=f"c{number}", metadata={"tags": [tag]} if tag else {})
            for number, (source, tag) in enumerate(pairs)
        ]
        return new_notebook(cells=code)

    return make


@pytest.fixture
def stored(notebook, tmp_path):
    """Writes a notebook and runs it with the canonical executor; returns the file."""
    from author import executor

    def make(name: str, *cells: str | tuple[str, str]) -> Path:
        file = tmp_path / name
        nbformat.write(notebook(*cells), file)
        executor.run(file)
        return file

    return make


@pytest.fixture
def strict_pytest(tmp_path):
    """Runs `pytest --nbval` on files in a process of its own, as an author would; returns the finished process."""

    def run(*arguments: object, mode: str = "--nbval") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", mode, "--nbval-current-env", "-p", "author.comparison"]
        command += ["-p", "no:cacheprovider", f"--rootdir={tmp_path}", "-c", str(assets.CHECKOUT / "pyproject.toml")]
        command += ["--color=no", "-v", *map(str, arguments)]
        environment = processes.child_environment()
        text = {"capture_output": True, "encoding": "utf-8", "errors": "replace"}
        return subprocess.run(command, env=environment, timeout=240, **text)

    return run
