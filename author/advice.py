"""The linter's advice on size: counts that most good lessons keep, and that a good reason may overrule."""

from __future__ import annotations

from author.form_rules import Found, abilities
from author.parsed import Lesson

MOST_WORDS = 120
ALT_WORDS = 5


def cells(lesson: Lesson) -> Found:
    least, most = (5, 15) if lesson.number == "00" else (12, 25)
    counted = [cell for cell in lesson.code() if cell.section != "Going further"]
    if not least <= len(counted) <= most:
        usual = f"{least} to {most} code cells outside `## Going further`"
        yield None, f"most lessons have {usual}, this one {len(counted)}."


def words(lesson: Lesson) -> Found:
    for cell in lesson.prose():
        if (count := cell.words()) > MOST_WORDS:
            yield cell, f"{count} words are long for a text cell ({MOST_WORDS}): split it at a thought."


def learn(lesson: Lesson) -> Found:
    cell = lesson.find("## What you will learn")
    if cell is not None and (count := len(abilities(cell))) and not 3 <= count <= 5:
        yield cell, f"a lesson can teach 3 to 5 abilities, and this list has {count}."


def alt_texts(lesson: Lesson) -> Found:
    for cell in lesson.prose():
        for alt, path in cell.images() if cell.index != 1 else ():  # the badges
            if alt.strip() and len(alt.split()) < ALT_WORDS:
                said = f"say what the picture shows, in {ALT_WORDS} words or more."
                yield cell, f"the alt text of {path} is short: {said}"
