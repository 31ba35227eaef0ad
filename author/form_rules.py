"""The linter's rules on the order, the sizes and the parts of a lesson. `lesson_linter` documents the headings."""

from __future__ import annotations

import re
from collections.abc import Iterator

from author import template
from author.parsed import Cell, Lesson
from labkit.base.errors import LabError

Found = Iterator[tuple[Cell | None, str]]

CLOSING = ["Common errors", "What it cost", "Summary", "In practice", "Further reading"]
OPTIONAL = ["Exercises", "Going further"]
NEEDS = ["minutes", "memory", "gpu memory", "download", "token", "network"]
MOST_LINES = 15
_NUMBERED = re.compile(r"^(\d+)\. \S")
_PREDICTION = re.compile(r"\*\*[^*]*(before you run|guess)[^*]*\*\*", re.IGNORECASE)


def name(lesson: Lesson) -> Found:
    if lesson.number is None:
        yield None, f"the file {lesson.file.name} is not named NN_topic.ipynb."


def title(lesson: Lesson) -> Found:
    found = [cell for cell in lesson.cells for level, _ in cell.headings() if level == 1]
    if not lesson.cells or not lesson.cells[0].source.startswith("# "):
        yield None, "the first cell has to begin with the title, `# Title`."
    for cell in found[1:]:
        yield cell, "a lesson has one title: use `##` for sections."


def badges(lesson: Lesson) -> Found:
    if lesson.number and (len(lesson.cells) < 2 or lesson.cells[1].source != template.badges(lesson.file)):
        yield None, "the second cell is not the badges of this lesson: `labkit lint --fix` writes them."


def setup(lesson: Lesson) -> Found:
    code = lesson.code()
    if lesson.number and (not code or code[0].source != template.setup_cell(lesson.number)):
        yield None, "the first code cell is not this lesson's set-up cell: `labkit lint --fix` writes it."


def front(lesson: Lesson) -> Found:
    parts = ["# ", "**What you will do.**", "## What you will learn", "## What you need"]
    cells = [lesson.find(part) for part in parts]
    for part, cell in zip(parts, cells, strict=True):
        if cell is None:
            yield None, f"there is no line that begins with `{part.strip()}`."
    known = [cell.index for cell in cells if cell] + [cell.index for cell in lesson.code()[:1]]
    if known != sorted(known):
        yield None, "the front is out of order: title, badges, what you will do, learn, need, then the set-up cell."
    if (learn := cells[2]) is not None and not abilities(learn):
        yield learn, "what you will learn is a list."
    if (need := cells[3]) is not None:
        table = need.text.split("## What you need")[1].lower()
        missing = [word for word in NEEDS if word not in table]
        if missing or "|" not in table:
            yield need, f"what you need is a table that also says: {', '.join(missing) or 'a table with |'}."


def abilities(cell: Cell) -> list[str]:
    """The items of the list below `## What you will learn`, which the cell has."""
    return re.findall(r"^[-*] \S.*", cell.text.split("## What you will learn")[1].split("\n#")[0], re.MULTILINE)


def sections(lesson: Lesson) -> Found:
    numbers = [int(match[1]) for text in lesson.sections() if (match := _NUMBERED.match(text))]
    least = 3 if lesson.number == "00" else 4
    if not least <= len(numbers) <= 6:
        yield None, f"a lesson has {least} to 6 numbered sections (`## 1. ...`), not {len(numbers)}."
    if numbers != list(range(1, len(numbers) + 1)):
        yield None, f"sections are numbered 1, 2, 3 in order, not {', '.join(map(str, numbers))}."


def prediction(lesson: Lesson) -> Found:
    for section in filter(_NUMBERED.match, lesson.sections()):
        cells = [cell for cell in lesson.cells if cell.section == section]
        asked = next((c.index for c in cells if c.kind == "markdown" and _PREDICTION.search(c.text)), None)
        if asked is None or not any(cell.kind == "code" and cell.index > asked for cell in cells):
            yield cells[0], "the section asks for no prediction (bold `Before you run` or `Guess`) before a code cell."


def closing(lesson: Lesson) -> Found:
    texts = lesson.sections()
    for text in CLOSING:
        if text not in texts:
            yield None, f"there is no heading `## {text}`."
    order = [text for text in texts if text in CLOSING]
    if order != sorted(order, key=CLOSING.index):
        yield None, f"the end is out of order: {', '.join(CLOSING)}."
    last = max((n for n, text in enumerate(texts) if _NUMBERED.match(text)), default=-1)
    if any(text in CLOSING for text in texts[:last]):
        yield None, "the closing headings come after the numbered sections."
    known = {*CLOSING, *OPTIONAL, "What you will learn", "What you need"}
    for cell in lesson.prose():
        for level, text in cell.headings():
            if level == 2 and text not in known and not _NUMBERED.match(text):
                yield cell, f"`## {text}` is neither a numbered section nor one of the fixed headings."


def reading(lesson: Lesson) -> Found:
    cells = [cell for cell in lesson.prose() if cell.section == "Further reading"]
    entries = [(cell, line) for cell in cells for line in cell.text.splitlines() if re.match(r"[-*] \S", line)]
    if cells and not entries:
        yield cells[0], "further reading is a list."
    for cell, line in entries:
        if not re.search(r"\b(19|20)\d\d\b", line):
            yield cell, f"an entry of the reading list has no date: {line[:50]}"


def next_lesson(lesson: Lesson) -> Found:
    cell = lesson.find("**Next lesson.**")
    if cell is None:
        yield None, "there is no line that begins with `**Next lesson.**`."
        return
    later = sorted(file.name for file in lesson.file.parent.glob("[0-9][0-9]_*.ipynb") if file.name > lesson.file.name)
    if later and later[0] not in cell.links():
        yield cell, f"the next lesson is {later[0]}: link to it."


def finish(lesson: Lesson) -> Found:
    code = lesson.code()
    if not code or code[-1].source.strip() != "lab.finish()":
        yield code[-1] if code else None, "the last code cell has to be `lab.finish()`."


def levels(lesson: Lesson) -> Found:
    before = 0
    for cell in lesson.cells:
        for level, text in cell.headings():
            if level > before + 1:
                yield cell, f"the heading `{text}` skips a level."
            before = level


def sizes(lesson: Lesson) -> Found:
    for cell in lesson.cells:
        if not cell.source.strip():
            yield cell, "the cell is empty."
        elif cell.kind == "code" and (lines := len(cell.source.strip().splitlines())) > MOST_LINES:
            yield cell, f"a code cell has at most {MOST_LINES} lines, not {lines}."


def rhythm(lesson: Lesson) -> Found:
    row = 0
    for cell in lesson.cells:
        row = row + 1 if cell.kind == "code" else 0
        if row == 3:
            yield cell, "three code cells in a row: say between them what was seen, or what comes."


def widget(lesson: Lesson) -> Found:
    found = lesson.calls_into("labkit.widgets")
    if not found:
        yield None, "the lesson has no widget (a call into labkit.widgets)."
    for cell in found:
        around = [other for other in lesson.cells if other.section == cell.section]
        if not any(other.kind == "code" and other not in found for other in around):
            yield cell, "the plain function that the widget wraps is not called in another cell of its section."
        if not any(other.images() for other in around):
            yield cell, "the widget has no picture in its section, for readers who cannot run it."


def exercises(lesson: Lesson) -> Found:
    from labkit.lessons.exercises import lesson as items_of
    from labkit.lessons.exercises.coded import Coded
    from labkit.lessons.exercises.questions import Open, Quiz

    calls = {call[1] for cell in lesson.code() for call in cell.calls() if call[0] == "q" and call[2:] == ("check",)}
    calls |= {"quiz"} if any(cell.source.splitlines()[-1:] == ["q.quiz"] for cell in lesson.code()) else set()
    if not 3 <= len(calls) <= 5:
        yield None, f"a lesson has 3 to 5 exercises (`q.name.check(...)`, `q.quiz`), not {len(calls)}."
    try:
        known = dict(items_of(lesson.number or ""))
    except LabError as problem:
        yield None, str(problem)
        return
    if calls != set(known):
        unlike = ", ".join(sorted(calls ^ set(known)))
        yield None, f"the exercises in the lesson and those in labkit.exercises are not the same: {unlike}."
    for kind, what in ((Quiz, "quiz"), (Coded, "coded exercise"), (Open, "open question")):
        if not any(isinstance(known.get(name), kind) for name in calls):
            yield None, f"the lesson has no {what}."
