"""Each rule of the linter: a lesson that keeps it passes, one that breaks it is told where and why."""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from author import lesson_linter, template


def found(file) -> dict[str, str]:
    """{rule: its sentences} of what the linter says."""
    problems: dict[str, str] = {}
    for problem in lesson_linter.lint(file):
        problems[problem.rule] = f"{problems.get(problem.rule, '')} {problem.sentence}".strip()
    return problems


def test_a_lesson_in_perfect_form_breaks_no_rule(lesson):
    assert lesson_linter.lint(lesson()) == lesson_linter.advise(lesson()) == []


def edit(identifier, old, new):
    """A change of one cell's source."""

    def change(by_id, cells):
        assert old in by_id[identifier].source
        by_id[identifier].source = by_id[identifier].source.replace(old, new)

    return change


def add(after, cell):
    """A change that puts a cell after another."""

    def change(by_id, cells):
        cells.insert(cells.index(by_id[after]) + 1, cell)

    return change


def both(*changes):
    def change(by_id, cells):
        for each in changes:
            each(by_id, cells)

    return change


def drop(identifier):
    return lambda by_id, cells: cells.remove(by_id[identifier])


def replace_output(identifier, *outputs):
    return lambda by_id, cells: by_id[identifier].update(outputs=list(outputs))


def renumber(by_id, cells):
    """The numbers that the code cells get when they run in order."""
    for number, cell in enumerate((cell for cell in cells if cell.cell_type == "code"), start=1):
        cell.execution_count = number


LONG = "print(1)\n" * 15 + "print(2)"
WORDS = "word " * 121

BROKEN = [
    ("title", drop("title"), "the first cell has to begin with the title"),
    ("title", edit("r1", "It is.", "# Again"), "a lesson has one title"),
    ("badges", drop("badges"), "the second cell is not the badges"),
    ("badges", edit("badges", "05_topic", "04_other"), "the second cell is not the badges"),
    ("setup", edit("setup", '"05"', '"04"'), "the first code cell is not this lesson's set-up cell"),
    ("front", edit("front", "**What you will do.**", "You will"), "begins with `**What you will do.**`"),
    ("front", edit("front", "\n- ", "\n"), "what you will learn is a list"),
    ("front", edit("front", "Download", "Size"), "a table that also says: download"),
    ("front", edit("front", "45 minutes", "45"), "a table that also says: minutes"),
    ("front", edit("front", "## What you need", "## Needs"), "no line that begins with `## What you need`"),
    ("sections", edit("s4", "## 4.", "### 4."), "4 to 6 numbered sections (`## 1. ...`), not 3"),
    ("sections", edit("s4", "## 4.", "## 5."), "numbered 1, 2, 3 in order, not 1, 2, 3, 5"),
    ("prediction", edit("s2", "**Before you run the next cell, guess:** is", "Is"), "asks for no prediction"),
    ("prediction", edit("s2", "**Before you run the next cell, guess:**", "Before you run, guess:"), "asks for no"),
    ("exercises", edit("q2", "q.choose_setup.check('b')\n", ""), "no open question"),
    ("exercises", edit("q2", "q.quiz", "q.loud_model.check('a')"), "are not the same: loud_model, quiz"),
    ("exercises", edit("q2", "\nq.choose_setup.check('b')\nq.quiz", ""), "3 to 5 exercises"),
    ("widget", edit("widget", "labkit.widgets", "widgets"), "has no widget"),
    ("widget", edit("picture", "!", ""), "the widget has no picture in its section"),
    ("widget", add("b4", new_markdown_cell("## Going further", id="x")), "in another cell of its section"),
    ("closing", edit("end", "## Summary", "## In short"), "no heading `## Summary`"),
    ("closing", edit("r2", "It is.", "## Summary\n"), "come after the numbered sections"),
    ("closing", edit("r4", "It is.", "## Miscellaneous\n"), "neither a numbered section nor one of the fixed"),
    ("closing", both(edit("end", "## Summary", "## X"), edit("end", "## Common errors", "## Summary"),
                     edit("end", "## X", "## Common errors")), "the end is out of order"),
    ("reading", edit("end", ", 2024", ""), "has no date: - A paper"),
    ("reading", edit("end", "- A paper", "A paper"), "further reading is a list"),
    ("next_lesson", edit("end", "**Next lesson.**", "Next:"), "begins with `**Next lesson.**`"),
    ("finish", edit("finish", "lab.finish()", "lab.finish()\nprint(1)"), "the last code cell has to be"),
    ("finish", drop("finish"), "the last code cell has to be"),
    ("levels", edit("r1", "It is.", "#### Deep\n"), "the heading `Deep` skips a level"),
    ("sizes", edit("a1", "print(1)", LONG), "at most 15 lines, not 16"),
    ("sizes", edit("a1", "print(1)", " "), "the cell is empty"),
    ("rhythm", drop("r1"), ""),
    ("rhythm", both(drop("r1"), drop("s2")), "three code cells in a row"),
    ("pictures", edit("picture", "The explorer with three tokens in colour", " "), "has no alt text"),
    ("pictures", edit("picture", "explorer.png", "none.png"), "there is no picture ../assets/figures/none.png"),
    ("pictures", edit("picture", "../assets", "https://example.org"), "is loaded from the web"),
    ("pictures", edit("r1", "It is.", '<img src="../assets/figures/explorer.png">'), "not as HTML"),
    ("links", edit("r1", "It is.", "[there](../docs/none.md#part)"), "the link to ../docs/none.md leads nowhere"),
    ("ran", lambda by_id, cells: by_id["a1"].update(execution_count=None), "the cell was never run"),
    ("ran", lambda by_id, cells: by_id["a1"].update(execution_count=7), "ran as number 7, not 2"),
    ("tags", lambda by_id, cells: by_id["a1"].metadata.update(tags=["nbval-skip"]), "nbval-skip is not used"),
    ("tags", edit("a1", "print(1)", "# NBVAL_IGNORE_OUTPUT\nprint(1)"), "use a cell tag"),
    ("errors", replace_output("a1", new_output("error", ename="KeyError", evalue="", traceback=[])), "in KeyError"),
    ("errors", lambda by_id, cells: by_id["b1"].metadata.update(tags=["raises-exception"]), "raised nothing"),
    ("leaks", replace_output("a1", new_output("stream", text="hf_" + "a" * 34)), "looks like a token: hf_aaa..."),
    ("leaks", replace_output("a1", new_output("stream", text="/home/ann/x")), "somebody's machine: /home/a"),
    ("leaks", edit("r1", "It is.", r"See C:\Users\ann."), "a folder of somebody's machine"),
    ("leaks", replace_output("a1", new_output("display_data", {"text/html": '<img src="http://x.org/a.png">'})),
     "loads something from the web"),
    ("weight", replace_output("a1", new_output("stream", text="x" * 1_600_000)), "take 1.6 MB"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "change", "sentence"), BROKEN)
def test_a_broken_rule_is_told(lesson, rule, change, sentence):
    problems = found(lesson(change))
    if not sentence:
        assert rule not in problems, "two in a row are allowed"
    else:
        assert sentence in problems.get(rule, ""), problems


ADVICE = [
    ("cells", both(*[drop(name) for name in ("b1", "b2", "b3")], renumber), "12 to 25 code cells outside"),
    ("learn", edit("front", "- to read its answer", ""), "3 to 5 abilities, and this list has 2"),
    ("words", edit("r1", "It is.", WORDS), "125 words are long for a text cell (120)"),
    ("alt_texts", edit("picture", "The explorer with three tokens in colour", "A picture"), "in 5 words or more"),
]


@pytest.mark.parametrize(("rule", "change", "sentence"), ADVICE)
def test_an_unusual_measure_is_advice_and_breaks_nothing(lesson, capsys, rule, change, sentence):
    from author import commands

    file = lesson(change)
    assert lesson_linter.lint(file) == []
    (advice,) = lesson_linter.advise(file)
    assert advice.rule == rule and sentence in advice.sentence
    assert commands.lint([str(file)]) == 0
    said, verdict = capsys.readouterr().out.splitlines()
    assert said == f"{file.name}: advice: {advice}" and verdict == "No problems."


def test_outputs_of_other_code_are_told(lesson):
    def after(notebook):
        notebook.cells[5].source = "print(2)"

    assert "the outputs belong to other code" in found(lesson(after=after))["ran"]


def test_outputs_of_several_runs_are_told(lesson):
    """As a merge leaves them: the code is the one that was run, and one cell's timing is that of another run."""

    def after(notebook):
        notebook.cells[5].outputs[0].text = "4 s\n"

    assert "not those of one run" in found(lesson(after=after))["ran"]


def test_what_another_program_wrote_is_told(lesson):
    def timed(notebook):
        notebook.cells[5].metadata["execution"] = {"iopub.status.busy": "2026"}

    def with_widgets(notebook):
        notebook.metadata["widgets"] = {"state": {}}

    assert "not in canonical form" in found(lesson(after=timed))["stored"]
    assert "holds widget state" in found(lesson(after=with_widgets))["stored"]


def test_a_lesson_that_was_never_run_is_told_so_once(lesson):
    def after(notebook):
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.execution_count, cell.outputs = None, []

    assert found(lesson(after=after)) == {"ran": "no cell was ever run: `labkit run` runs and stores the lesson."}


def test_a_file_with_another_name_is_told(lesson):
    assert "is not named NN_topic.ipynb" in found(lesson(name="topic.ipynb"))["name"]


def test_the_next_lesson_is_linked_once_it_is_there(lesson):
    file = lesson()
    (file.parent / "07_later.ipynb").touch()
    (file.parent / "06_next.ipynb").touch()
    assert found(file) == {"next_lesson": "the next lesson is 06_next.ipynb: link to it."}
    file = lesson(edit("end", "There is none yet.", "[The next](06_next.ipynb)"))
    assert found(file) == {}


def test_lesson_00_has_bounds_of_its_own(lesson):
    def short(by_id, cells):
        by_id["badges"].source = template.badges("00_topic.ipynb")
        by_id["setup"].source = template.setup_cell("00")
        for name in ("s4", "a4", "r4", "b1", "b2", "b3"):
            cells.remove(by_id[name])

    file = lesson(short, name="00_topic.ipynb")
    assert "sections" not in found(file) and lesson_linter.advise(file) == []


def test_what_goes_further_is_not_counted(lesson):
    def much(by_id, cells):
        place = cells.index(by_id["exercises"])
        extra = [new_markdown_cell("## Going further", id="gf")]
        for n in range(20):
            extra += [new_markdown_cell("More.", id=f"gt{n}"), new_code_cell("1", id=f"gc{n}", execution_count=9)]
        cells[place:place] = extra

    assert lesson_linter.advise(lesson(much)) == []


@pytest.mark.parametrize(
    "call",
    [
        "import labkit\nlabkit.widgets.explore('x')",
        "from labkit import widgets\nwidgets.explore('x')",
        "import labkit.widgets.tokens as t\nt.explore('x')",
        "from labkit.widgets.tokens import explore as e\n%matplotlib inline\ne('x')",
    ],
)
def test_a_widget_is_known_however_it_is_imported(lesson, call):
    def change(by_id, cells):
        by_id["widget"].source = call

    assert found(lesson(change)) == {}


def test_fix_writes_the_generated_cells_and_keeps_the_outputs(lesson):
    good = lesson().read_bytes()
    file = lesson(both(edit("badges", "05_topic", "04_old"), edit("setup", "@v", "@old-v")))
    assert set(found(file)) == {"badges", "setup"}
    assert lesson_linter.fix(file) and found(file) == {} and file.read_bytes() == good
    assert not lesson_linter.fix(file), "nothing is left to write"
    bare = lesson(both(drop("badges"), drop("setup")))
    assert lesson_linter.fix(bare)
    cells = nbformat.read(bare, as_version=4).cells
    assert cells[1].source == template.badges(file) and cells[3].source == template.setup_cell("05")
