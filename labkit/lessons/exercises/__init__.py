"""The exercises of the lessons: `q = labkit.exercises.lesson("05")`, then `q.top_p.check(...)` and `.hint()`.

A lesson's set-up cell makes `q`. There is one module a lesson, `lesson05.py`, with its exercises as classes in the
order of their numbers; the attribute of `q` is the class's name in lower case with underscores. To add one, subclass
`coded.Coded` or `questions.Open`. The quiz, `q.quiz`, is a file, `assets/quizzes/05.toml`. tests/lessons/exercises
holds all to one standard.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re

from labkit.base.errors import LabError
from labkit.lessons.exercises.coded import Exercise, Outcome, ____
from labkit.lessons.exercises.questions import Quiz

__all__ = ["Outcome", "Questions", "____", "lesson"]


class Questions:
    """The exercises of one lesson as attributes."""

    def __init__(self, lesson: str, exercises: dict[str, Exercise]) -> None:
        self._lesson = lesson
        self._exercises = exercises

    def __getattr__(self, name: str) -> Exercise:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._exercises:
            return self._exercises[name]
        near = difflib.get_close_matches(name, self._exercises, n=1)
        hint = f"did you mean q.{near[0]}?" if near else f"there are {', '.join(self._exercises)}."
        raise AttributeError(f"Lesson {self._lesson} has no exercise {name!r}: {hint}")

    def __dir__(self) -> list[str]:
        return list(self._exercises)

    def __iter__(self):
        return iter(self._exercises.items())

    def __repr__(self) -> str:
        return "\n".join(f"q.{name}  [{exercise.number}] {exercise.title}" for name, exercise in self)


def lesson(number: str) -> Questions:
    """The exercises of lesson `number`, such as "05". LabError when there are none."""
    name = f"labkit.lessons.exercises.lesson{str(number).zfill(2)}"
    if not str(number).isdigit() or importlib.util.find_spec(name) is None:
        raise LabError(f"Lesson {number!r} has no exercises: use the lesson's two digits, such as '05'.")
    module = importlib.import_module(name)
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Exercise) and value.__module__ == name
    ]
    digits = str(number).zfill(2)
    exercises: dict[str, Exercise] = {_attribute(kind.__name__): kind() for kind in classes}
    exercises["quiz"] = Quiz(digits)
    return Questions(digits, dict(sorted(exercises.items(), key=lambda item: item[1].number)))


def _attribute(class_name: str) -> str:
    """`KvCache` -> `kv_cache`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", class_name).lower()
