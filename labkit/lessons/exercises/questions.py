"""The two kinds of exercise without code: a quiz, and an open question with a rubric."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labkit.base import assets
from labkit.lessons.exercises.answers import a_kind, letters_of, short
from labkit.lessons.exercises.coded import Exercise, Outcome, is_untouched

_ENOUGH_WORDS = 8


@dataclass(frozen=True)
class Question:
    """One question of a quiz: what is asked, the right letter, and for each letter what it says and why (not)."""

    ask: str
    answer: str
    choices: dict[str, tuple[str, str]]

    @classmethod
    def read(cls, table: dict[str, Any]) -> Question:
        """From a table of `assets/quizzes`: `ask`, `answer`, `hint`, and a list of two texts for each letter."""
        choices = {key: (value[0], value[1]) for key, value in table.items() if len(key) == 1}
        return cls(table["ask"], table["answer"], choices)

    def verdict(self, letter: str) -> str:
        """What is said of one choice: `b) Right: ...` or `a) Not yet: ...`, with its reason."""
        return f"{letter}) {'Right' if letter == self.answer else 'Not yet'}: {self.choices[letter][1]}"


class Quiz(Exercise):
    """Three to six questions with lettered choices, in `assets/quizzes/NN.toml`. Hint number n is about question n."""

    def __init__(self, lesson: str) -> None:
        super().__init__()
        with assets.path("quizzes", f"{lesson}.toml").open("rb") as file:
            found = tomllib.load(file)
        self.number, self.title = found["number"], found["title"]
        self.questions = tuple(Question.read(table) for table in found["questions"])
        self.hints = tuple(table["hint"] for table in found["questions"])

    def __repr__(self) -> str:
        lines = [f"[{self.number}] {self.title}"]
        for place, question in enumerate(self.questions, start=1):
            lines += ["", f"{place}. {question.ask}"]
            lines += [f"   {letter}) {text}" for letter, (text, _) in question.choices.items()]
        blanks = ", ".join(['"?"'] * len(self.questions))
        return "\n".join([*lines, "", f"<Quiz: run this cell to use it, or write q.quiz.check({blanks})>"])

    def _ipython_display_(self) -> None:
        """Buttons to click; its text where there are none (on GitHub, on paper)."""
        from IPython.display import display

        from labkit.lessons.widgets.quiz import quiz_view

        model = {"version_major": 2, "version_minor": 0, "model_id": quiz_view(self).model_id}
        display({"text/plain": repr(self), "application/vnd.jupyter.widget-view+json": model}, raw=True)

    def check(self, *answers: Any) -> Outcome:
        """Say of each answer, such as "b", whether it is right and why; `____` leaves a question for later.

        "B", "(b)", one text such as "b,a,c", and a list are read too.
        """
        given = [None if is_untouched(each) or each in ("", "?", "-") else each for each in letters_of(answers)]
        if all(letter is None for letter in given):
            return self.outcome("unattempted", 'Not attempted yet: give the letter of each answer, such as "a".')
        if len(given) != len(self.questions):
            return self.outcome(
                "error", f"There are {len(self.questions)} questions: give one letter for each, or ____."
            )
        for place, (question, letter) in enumerate(zip(self.questions, given, strict=True), start=1):
            if letter is not None and (not isinstance(letter, str) or letter not in question.choices):
                known = ", ".join(question.choices)
                return self.outcome("error", f"Question {place}: {short(letter)} is not a choice; there are {known}.")
        return self.outcome(*self.judge(given))

    def judge(self, letters: Sequence[str | None]) -> tuple[str, str]:
        """Status and message for one letter a question; None is still open."""
        pairs = list(zip(self.questions, letters, strict=True))
        right = sum(letter == question.answer for question, letter in pairs)
        said = [
            f"  {place}. {question.verdict(letter) if letter else 'is still open.'}"
            for place, (question, letter) in enumerate(pairs, start=1)
        ]
        answered = sum(letter is not None for letter in letters)
        status = "wrong" if right < answered else "correct" if answered == len(pairs) else "unattempted"
        return status, "\n".join([f"{right} of {len(pairs)} right.", *said])

    def solution_text(self) -> str:
        """Of every question the right letter and the reason."""
        lines = [f"[{self.number}] {self.title}"]
        for place, question in enumerate(self.questions, start=1):
            text, why = question.choices[question.answer]
            lines += ["", f"{place}. {question.ask}", f"   {question.answer}) {text}", f"   {why}"]
        return "\n".join(lines)


class Open(Exercise):
    """A question without one right answer. A subclass sets `question`, `rubric` and `example`.

    An answer of some length counts as done; whether it is good, the learner judges by the rubric.
    """

    question: str
    rubric: tuple[str, ...]
    example: str

    def __repr__(self) -> str:
        return f"[{self.number}] {self.question}"

    def check(self, answer: Any) -> Outcome:
        """Take the answer, and show what a good one has."""
        if is_untouched(answer) or answer is None or (isinstance(answer, str) and not answer.strip()):
            return self.outcome("unattempted", "Not attempted yet: replace ____ by your answer, a text in quotes.")
        if not isinstance(answer, str):
            return self.outcome("error", f"The answer is {a_kind(answer)}: write a text in quotes.")
        if len(set(answer.lower().split())) < _ENOUGH_WORDS:  # one word ten times says no more than once
            return self.outcome("wrong", f"Not yet: use at least {_ENOUGH_WORDS} different words, and say why.")
        points = "\n".join(f"  - {point}" for point in self.rubric)
        return self.outcome("written", f"Taken. No program can grade this; judge it yourself. A good answer:\n{points}")

    def solution_text(self) -> str:
        """One possible answer, and the rubric."""
        points = "\n".join(f"  - {point}" for point in self.rubric)
        return f"[{self.number}] One possible answer:\n\n{self.example}\n\nA good answer:\n{points}"
