"""The form of a lesson, checked. `labkit lint [05 | path ...]` prints what breaks it; `--fix` writes generated cells.

A lesson is `notebooks/NN_topic.ipynb`, in this order (a heading is a line of a text cell, spelled exactly like this):

    # Title                             the first cell and the only `#` heading
    (badges)                            the second cell: `labkit lint --fix` writes it
    **What you will do.** One sentence.
    ## What you will learn              a list (`- `) of abilities
    ## What you need                    a table: Time (`45 minutes`), Memory, GPU memory, Download, Token, Network
    (set-up cell)                       the first code cell: `labkit lint --fix` writes it
    ## 1. A section                     4 to 6 sections (lesson 00: 3 to 6), numbered 1, 2, 3 ... Each asks for a
                                        prediction: bold text with "Before you run" or "Guess" in it, then a code cell.
    ## Exercises                        optional: exercises may also stand in their sections
    ## Going further                    optional: its code cells are outside the count
    ## Common errors
    ## What it cost
    ## Summary
    ## In practice
    ## Further reading                  a list (`- `), each entry with a year
    **Next lesson.** ...                links to the next lesson's file if there is one
    lab.finish()                        the last code cell, alone

Other `##` headings are not used; `###` is free. A code cell has at most 15 lines; never three code cells in a row.

Exercises: 3 to 5 different `q.name.check(...)`, among them a coded exercise and an open question, and the quiz, which
is shown by `q.quiz` at the end of a cell. The set-up cell makes `q` and `____`: after a restart it is enough for most.

A widget (a call into `labkit.widgets`) has in its `##` section the plain function it wraps, in another code cell, and a
picture: `![alt text](../assets/figures/name.png)`. No picture is without alt text. Nothing is loaded from the web, and
links to files lead somewhere. Drawings are made by `python -m author.figures`.

Outputs: every code cell was run, in order, by `labkit run`, all in one run, and raised nothing unless tagged so. Cells
whose output depends on the machine (timings, memory, sampled text) are tagged `nbval-ignore-output`. No widget state,
no folder of somebody's machine, no token; less than 1.5 MB in all.

Advice, printed and never an error: 12 to 25 code cells (lesson 00: 5 to 15) outside `## Going further`, 3 to 5
abilities, text cells of at most 120 words (tables and code blocks are not counted), alt texts of five words or more.

Knows the form only. Whether a cell teaches one idea, and teaches it well, is for a reader to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat

from author import advice as measure
from author import content_rules as content
from author import form_rules as form
from author import template
from author.canonical import digest, text_of
from author.parsed import Lesson
from labkit.base import cache

RULES = [
    *(form.name, form.title, form.badges, form.front, form.setup, form.sections, form.prediction, form.exercises),
    *(form.widget, form.closing, form.reading, form.next_lesson, form.finish, form.levels, form.sizes, form.rhythm),
    *(content.pictures, content.links, content.ran, content.stored, content.tags, content.errors, content.leaks),
    content.weight,
]
ADVICE = [measure.cells, measure.learn, measure.words, measure.alt_texts]


@dataclass(frozen=True)
class Problem:
    """What is wrong: where (a cell's position and beginning, or "lesson"), which rule, and a sentence."""

    where: str
    rule: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.where}: {self.sentence} [{self.rule}]"


def lint(file: Path) -> list[Problem]:
    """All that breaks the form of a lesson, in the order of the rules."""
    return _found(file, RULES)


def advise(file: Path) -> list[Problem]:
    """Where a lesson leaves the usual measure: worth a second look, and no error."""
    return _found(file, ADVICE)


def _found(file: Path, rules: list[Callable[[Lesson], form.Found]]) -> list[Problem]:
    lesson = Lesson(file)
    return [
        Problem(cell.name if cell else "lesson", rule.__name__, sentence)
        for rule in rules
        for cell, sentence in rule(lesson)
    ]


def fix(file: Path) -> bool:
    """Write the badges and the set-up cell of a lesson; returns whether the file changed. Outputs are kept."""
    notebook = nbformat.read(file, as_version=4)
    before, belonged = text_of(notebook), notebook.metadata.get("labkit", {}).get("sources") == digest(notebook)
    number, cells = template.number_of(file), notebook.cells
    badges = template.badges(file)
    if len(cells) > 1 and cells[1].source.startswith("[!["):
        cells[1].source = badges
    else:
        cells.insert(1, nbformat.v4.new_markdown_cell(badges, id="badges"))
    first = next((index for index, cell in enumerate(cells) if cell.cell_type == "code"), len(cells))
    if first < len(cells) and "labkit.start(" in cells[first].source:
        cells[first].source = template.setup_cell(number)
    else:
        need = next((n for n, cell in enumerate(cells, start=1) if "## What you need" in cell.source), first)
        cells.insert(min(need, first), nbformat.v4.new_code_cell(template.setup_cell(number), id="setup"))
    if belonged:
        # The generated cells differ only in where Colab finds the course: the outputs still belong to the code.
        notebook.metadata["labkit"]["sources"] = digest(notebook)
    if changed := text_of(notebook) != before:
        with cache.replacing(file) as part:
            part.write_bytes(text_of(notebook).encode())
    return changed
