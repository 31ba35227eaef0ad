"""The two kinds of exercise without code: a quiz, and an open question with a rubric."""

from __future__ import annotations

from typing import Any

from labkit.exercises.engine import Exercise, Outcome, Text, is_untouched

_ENOUGH_WORDS = 8


class Quiz(Exercise):
    """One question with lettered choices. A subclass sets `question`, `answer` and `choices`.

    `choices` maps a letter to what it says and to why it is right or wrong: each wrong choice has an explanation.
    """

    question: str
    answer: str
    choices: dict[str, tuple[str, str]]

    def __repr__(self) -> str:
        lines = [f"[{self.number}] {self.question}", *(f"  {key}) {text}" for key, (text, _) in self.choices.items())]
        return "\n".join(lines)

    def check(self, choice: Any) -> Outcome:
        """Say whether a choice, such as "b", is right, and why."""
        if is_untouched(choice) or choice is None:
            return self.outcome("unattempted", 'Not attempted yet: replace ____ by a letter in quotes, such as "a".')
        letter = str(choice).strip().rstrip(").").lower()
        if letter not in self.choices:
            return self.outcome("error", f"{choice!r} is not a choice: answer with {', '.join(self.choices)}.")
        right = letter == self.answer
        return self.outcome(
            "correct" if right else "wrong", f"{'Correct' if right else 'Not yet'}: {self.choices[letter][1]}"
        )

    def solution(self) -> Text:
        """The right letter and the reason."""
        text, why = self.choices[self.answer]
        return Text(f"[{self.number}] {self.answer}) {text}\n\n{why}")


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
            return self.outcome("error", f"The answer is a {type(answer).__name__}: write a text in quotes.")
        if len(answer.split()) < _ENOUGH_WORDS:
            return self.outcome("wrong", f"Not yet: {len(answer.split())} words are too few to judge; say why.")
        points = "\n".join(f"  - {point}" for point in self.rubric)
        return self.outcome("correct", f"Taken. No program can grade this; judge it yourself. A good answer:\n{points}")

    def solution(self) -> Text:
        """One possible answer, and the rubric."""
        points = "\n".join(f"  - {point}" for point in self.rubric)
        return Text(f"[{self.number}] One possible answer:\n\n{self.example}\n\nA good answer:\n{points}")
