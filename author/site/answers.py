"""The answer key: every exercise with its hints and its solution, as one page. Made at build time, never stored."""

from __future__ import annotations

from labkit.lessons import exercises
from labkit.lessons.exercises.coded import Coded, Exercise


def page(lessons: list[str]) -> str:
    """The page for the lessons with these numbers, in markdown."""
    parts = ["# Answers", ":::{warning}\nFor teachers: this page is in no public build of the website.\n:::"]
    for number in lessons:
        parts.append(f"## Lesson {number}")
        parts += [_entry(name, exercise) for name, exercise in exercises.lesson(number)]
    return "\n\n".join(parts) + "\n"


def _entry(name: str, exercise: Exercise) -> str:
    """As learners would see it: what is asked, each hint, the solution. Fenced, so that no sign in it is markup."""
    said = [] if isinstance(exercise, Coded) else [repr(exercise)]
    said += [exercise.hint_text(which) for which in range(1, len(exercise.hints) + 1)]
    said.append(exercise.solution_text())
    shown = "\n\n".join(f"`````text\n{text}\n`````" for text in said)
    return f"### {exercise.number} {exercise.title}\n\n`q.{name}`\n\n{shown}"
