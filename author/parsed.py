"""A lesson's notebook, taken apart for the linter: its cells with their sections, headings, calls, links and words.

Knows markdown and Python as far as rules need them. Knows no rule.
"""

from __future__ import annotations

import ast
import functools
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from markdown_it import MarkdownIt
from markdown_it.token import Token
from nbformat import NotebookNode

from labkit.front.lesson_list import LESSON_FILE

_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass
class Cell:
    """One cell: `index` counts from 0, `section` is the text of the last `##` heading (its own included), or ""."""

    index: int
    kind: str
    source: str
    section: str
    node: NotebookNode

    @property
    def name(self) -> str:
        """How a person finds it: its position from 1, and how it begins."""
        first = next((line.strip() for line in self.source.splitlines() if line.strip()), "empty")
        return f"cell {self.index + 1} ({first[:40]})"

    @functools.cached_property
    def blocks(self) -> list[Token]:
        """The blocks of a text cell, as markdown-it reads them; none of a code cell."""
        return _MARKDOWN.parse(self.source) if self.kind == "markdown" else []

    @functools.cached_property
    def text(self) -> str:
        """The markdown without code blocks."""
        lines = self.source.splitlines()
        for fence in (block for block in self.blocks if block.type == "fence"):
            lines[slice(*fence.map)] = [""] * (fence.map[1] - fence.map[0])
        return "\n".join(lines)

    def headings(self) -> list[tuple[int, str]]:
        """(level, text) of its headings."""
        pairs = itertools.pairwise(self.blocks)
        return [(int(opened.tag[1]), text.content) for opened, text in pairs if opened.type == "heading_open"]

    def words(self) -> int:
        """Words to read: without tables, code blocks, and the addresses of links."""
        pairs = itertools.pairwise(self.blocks)
        read = [text.children for before, text in pairs if text.children and before.type not in ("th_open", "td_open")]
        plain = " ".join(part.content for parts in read for part in parts)
        return len(re.findall(r"[^\W_]+(?:['\u2019.,-][^\W_]+)*", plain))

    def images(self) -> list[tuple[str, str]]:
        """(alt text, path) of the pictures of a text cell."""
        return [(part.content, str(part.attrs["src"])) for part in self._parts("image")]

    def links(self) -> list[str]:
        """Where the links of a text cell lead."""
        return [str(part.attrs["href"]) for part in self._parts("link_open")]

    def _parts(self, kind: str) -> list[Token]:
        return [part for block in self.blocks for part in block.children or () if part.type == kind]

    @functools.cached_property
    def tree(self) -> ast.Module | None:
        """The code, parsed as IPython would run it; None where it is no Python."""
        from IPython.core.inputtransformer2 import TransformerManager

        try:
            return ast.parse(TransformerManager().transform_cell(self.source))
        except SyntaxError:
            return None

    def calls(self) -> Iterator[tuple[str, ...]]:
        """The dotted names that the code calls: `q.kv.check(1)` gives ("q", "kv", "check")."""
        for node in ast.walk(self.tree) if self.kind == "code" and self.tree else ():
            if isinstance(node, ast.Call) and (name := _dotted(node.func)):
                yield name


class Lesson:
    """A notebook file and its cells. `number` is None when the file is not named as a lesson is."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.text = file.read_text(encoding="utf-8")
        self.notebook = nbformat.reads(self.text, as_version=4)
        match = LESSON_FILE.match(file.name)
        self.number = match["number"] if match else None
        self.cells: list[Cell] = []
        section = ""
        for index, node in enumerate(self.notebook.cells):
            cell = Cell(index, node.cell_type, node.source, section, node)
            section = next((text for level, text in reversed(cell.headings()) if level == 2), section)
            cell.section = section
            self.cells.append(cell)

    def code(self) -> list[Cell]:
        """The code cells."""
        return [cell for cell in self.cells if cell.kind == "code"]

    def prose(self) -> list[Cell]:
        """The text cells."""
        return [cell for cell in self.cells if cell.kind == "markdown"]

    def sections(self) -> list[str]:
        """The texts of all `##` headings, in order."""
        return [text for cell in self.cells for level, text in cell.headings() if level == 2]

    def find(self, line: str) -> Cell | None:
        """The first text cell with a line that begins like this."""
        return next((c for c in self.prose() if any(row.startswith(line) for row in c.text.splitlines())), None)

    def names_of(self, module: str) -> dict[str, tuple[str, ...]]:
        """The names in this notebook that stand for `module` ("labkit.widgets") or for something in it."""
        wanted = tuple(module.split("."))
        names = {}
        for cell in self.code():
            for node in ast.walk(cell.tree) if cell.tree else ():
                if isinstance(node, ast.Import):
                    for alias in node.names:
                        full = tuple(alias.name.split("."))
                        names[alias.asname or full[0]] = full if alias.asname else full[:1]
                elif isinstance(node, ast.ImportFrom) and node.module:
                    for alias in node.names:
                        names[alias.asname or alias.name] = (*node.module.split("."), alias.name)
        return {name: full for name, full in names.items() if full[: len(wanted)] == wanted[: len(full)]}

    def calls_into(self, module: str) -> list[Cell]:
        """The code cells that call something of `module`."""
        names, wanted = self.names_of(module), tuple(module.split("."))
        found = []
        for cell in self.code():
            full = [(*names[name[0]], *name[1:]) for name in cell.calls() if name[0] in names]
            if any(name[: len(wanted)] == wanted and len(name) > len(wanted) for name in full):
                found.append(cell)
        return found


def _dotted(node: ast.expr) -> tuple[str, ...]:
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute) and (inner := _dotted(node.value)):
        return (*inner, node.attr)
    return ()
