"""A lesson in perfect form, and ways to spoil it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from author import template
from author.canonical import canonical, text_of

FRONT = """**What you will do.** Talk to a model.

## What you will learn
- to load a model
- to ask it something
- to read its answer

## What you need
| Time | Memory | GPU memory | Download | Token | Network |
|---|---|---|---|---|---|
| 45 minutes | 1 GB | none | 93 MB | no | no |"""

SECTION = """## {n}. Why is it so?
**Before you run the next cell, guess:** is it more than two?"""

PICTURE = "![The explorer with three tokens in colour](../assets/figures/explorer.png)"

END = """## Common errors
`KeyError`: the key is missing.

## What it cost
Nothing.

## Summary
It was so.

## In practice
Do it.

## Further reading
- A paper, 2024

**Next lesson.** There is none yet."""


def perfect(folder: Path) -> list[nbformat.NotebookNode]:
    """The cells of a lesson 05 that breaks no rule; `folder` is that of the notebook."""
    file = folder / "05_topic.ipynb"
    cells = [
        new_markdown_cell("# A topic", id="title"),
        new_markdown_cell(template.badges(file), id="badges"),
        new_markdown_cell(FRONT, id="front"),
        new_code_cell(template.setup_cell("05"), id="setup"),
    ]
    for n in range(1, 5):
        cells.append(new_markdown_cell(SECTION.format(n=n), id=f"s{n}"))
        cells.append(new_code_cell(f"print({n})", id=f"a{n}", outputs=[new_output("stream", text=f"{n}\n")]))
        cells.append(new_markdown_cell("It is. Now the other one.", id=f"r{n}"))
        cells.append(new_code_cell(f"value_{n} = {n}", id=f"b{n}"))
    cells.append(new_markdown_cell(PICTURE, id="picture"))
    cells.append(new_code_cell("from labkit.widgets import explore\n\nexplore('three tokens')", id="widget"))
    cells.append(new_markdown_cell("## Exercises\nThree of them.", id="exercises"))
    cells.append(new_code_cell("q.conversations.check(1)", id="q1"))
    cells.append(new_markdown_cell("The next one.", id="more"))
    cells.append(new_code_cell("q.top_p.check(2)\nq.choose_setup.check('b')\nq.quiz", id="q2"))
    cells.append(new_markdown_cell(END, id="end"))
    cells.append(new_code_cell("lab.finish()", id="finish"))
    for number, cell in enumerate((c for c in cells if c.cell_type == "code"), start=1):
        cell.execution_count = number
    return cells


@pytest.fixture
def lesson(tmp_path) -> Callable[..., Path]:
    """Writes the perfect lesson, changed by a function of its cells by id, in canonical form; returns the file."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    figures = tmp_path / "assets" / "figures"
    figures.mkdir(parents=True)
    for name in ("explorer.png", "open-in-colab.svg", "open-in-binder.svg"):
        (figures / name).write_bytes(b"")

    def write(change=None, *, name: str = "05_topic.ipynb", after=None) -> Path:
        cells = perfect(folder)
        if change:
            change(dict((cell.id, cell) for cell in cells), cells)
        notebook = canonical(new_notebook(cells=cells))
        for cell, before in zip(notebook.cells, cells, strict=True):
            if cell.cell_type == "code":
                cell.execution_count = before.execution_count
        if after:
            after(notebook)
        file = folder / name
        file.write_bytes(text_of(notebook).encode())
        return file

    return write
