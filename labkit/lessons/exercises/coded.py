"""What an exercise is: something to check, hints, a solution, and an outcome that is a value, never an exception.

Values are passed in; nothing reads the learner's variables. An exercise that nobody has tried says so in one line, a
wrong answer is explained in the learner's terms, and an error in the learner's code is shown with its line.
Knows nothing of any lesson's subject.
"""

from __future__ import annotations

import dis
import functools
import inspect
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, TracebackType
from typing import Any

from labkit.base.errors import LabError
from labkit.lessons.exercises.answers import Wrong, a_kind, expect, is_close, number_of, watched

__all__ = ["Coded", "Exercise", "Outcome", "Text", "Wrong", "____", "expect", "is_close", "is_untouched", "number_of"]
_PACKAGE = str(Path(__file__).resolve().parent)


class Placeholder:
    """`____`: marks what a learner replaces. It survives being called, indexed or computed with, and stays itself."""

    def __repr__(self) -> str:
        return "____"

    def __getattr__(self, name: str) -> Placeholder:
        # Python and IPython probe objects for special methods; answering would make this look like anything.
        if name.startswith("_"):
            raise AttributeError(name)
        return self

    def _itself(self, *_: Any, **__: Any) -> Placeholder:
        return self

    __call__ = __getitem__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _itself
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = _itself
    __matmul__ = __rmatmul__ = __neg__ = __lt__ = __le__ = __gt__ = __ge__ = _itself

    def __iter__(self) -> Iterator[Placeholder]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return False

    def __format__(self, _: str) -> str:
        return "____"


____ = Placeholder()


class Printed:
    """Printed where it is made, so that a line below it in the cell does not hide it; a notebook adds nothing."""

    def _ipython_display_(self) -> None:
        pass


@dataclass(frozen=True)
class Outcome(Printed):
    """The result of a check. `status` is unattempted, wrong, error, written (an open answer) or correct."""

    number: str
    status: str
    message: str

    def __repr__(self) -> str:
        return f"[{self.number}] {self.message}"


class Text(Printed):
    """A hint or a solution."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Exercise:
    """What the three kinds share: a number such as "05.1", a title, hints that tell more and more, a solution."""

    number: str
    title: str
    hints: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._hints_given = 0

    def hint(self, which: int | None = None) -> Text:
        """Print the next hint, or hint number `which` (from 1)."""
        if which is None:
            self._hints_given = min(self._hints_given + 1, len(self.hints))
            which = self._hints_given
        if which not in range(1, len(self.hints) + 1):
            raise LabError(f"Exercise {self.number} has {len(self.hints)} hints: ask for 1 to {len(self.hints)}.")
        return _printed(Text(self.hint_text(which)))

    def hint_text(self, which: int) -> str:
        """Hint number `which`, and how many there are beyond it."""
        more = f" ({len(self.hints) - which} more)" if which < len(self.hints) else ""
        return f"[{self.number}] Hint {which}{more}: {self.hints[which - 1]}"

    def solution(self) -> Text:
        """Print one right answer, and why it is one."""
        return _printed(Text(self.solution_text()))

    def solution_text(self) -> str:
        """What `solution` prints."""
        raise NotImplementedError

    def outcome(self, status: str, message: str) -> Outcome:
        """The outcome, printed, and recorded in the learner's progress."""
        return _printed(self.recorded(status, message))

    def recorded(self, status: str, message: str) -> Outcome:
        """The outcome, recorded and not printed. A progress file that cannot be written costs no answer."""
        from labkit.lessons import progress

        try:
            progress.record(self.number, status)
        except LabError as problem:
            message = f"{message}\n(Your progress was not saved: {problem})"
        return Outcome(self.number, status, message)


def _printed(said: Any) -> Any:
    print(said)
    return said


class Coded(Exercise):
    """An exercise whose answer is code: values or functions with the names in `names`.

    A subclass sets `names`, `code` (the solution's source, which defines those names), `why` (its explanation),
    `also_correct` (other sources), `mistakes` (sources, each with a piece of the message it must get), and writes
    `verify(self, **names)`, which raises Wrong. The tests run all of these sources.
    """

    names: tuple[str, ...]
    code: str
    why: str
    also_correct: tuple[str, ...] = ()
    mistakes: tuple[tuple[str, str], ...] = ()

    def verify(self, **values: Any) -> str | None:
        """Raise Wrong, or return a sentence to add to "Correct." (or nothing)."""
        raise NotImplementedError

    def check(self, *values: Any, **named: Any) -> Outcome:
        """Compare the learner's answer with what was asked."""
        try:
            answer = inspect.signature(self.verify).bind(*values, **named).arguments
        except TypeError:
            return self.outcome("error", f"check() wants {', '.join(self.names)}: pass exactly these.")
        if any(is_untouched(value) for value in answer.values()):
            return self.outcome(
                "unattempted", _UNATTEMPTED[any(isinstance(value, FunctionType) for value in answer.values())]
            )
        seen = {name: watched(value) if isinstance(value, FunctionType) else value for name, value in answer.items()}
        try:
            praise = self.verify(**seen)
        except Wrong as wrong:
            return self.outcome("wrong", f"Not yet: {wrong}")
        except Exception as problem:
            return self.outcome("error", _explain(problem, answer))
        return self.outcome("correct", f"Correct. {praise}" if praise else "Correct.")

    def solution_text(self) -> str:
        """The solution's code, and why it is one."""
        return f"[{self.number}] {self.title}\n\n{self.code.strip()}\n\n{self.why}"


_UNATTEMPTED = {
    False: "Not attempted yet: replace each ____ by your answer, then run this cell again.",
    True: "Not attempted yet: write the function's body, then run this cell again.",
}


def is_untouched(value: Any) -> bool:
    """Whether a value is, holds, or is a function that still consists of, what the learner was to replace."""
    if isinstance(value, Placeholder) or value is Ellipsis:
        return True
    if isinstance(value, (list, tuple, set)):
        return any(is_untouched(item) for item in value)
    if isinstance(value, dict):
        return any(is_untouched(item) for item in value.values())
    return isinstance(value, FunctionType) and _is_stub(value)


# What a function may consist of that nobody has written yet.
_RAISES = ("raise NotImplementedError", "raise NotImplementedError()", "raise NotImplementedError('')")
_STUBS = ("pass", "return None", "return ...", *_RAISES)


def _is_stub(function: FunctionType) -> bool:
    """Whether a function's body does nothing yet, seen in its bytecode, which is there even where its source is not."""
    code = function.__code__
    return "____" in code.co_names or _instructions(code) in _compiled_stubs()


@functools.cache
def _compiled_stubs() -> list[list[tuple[str, Any]]]:
    """What this Python makes of the stubs: each version compiles them differently."""
    return [_instructions(_function(body).__code__) for body in _STUBS]


def _function(body: str) -> FunctionType:
    names: dict[str, Any] = {}
    exec(f"def stub():\n    {body}", names)
    return names["stub"]


def _instructions(code: CodeType) -> list[tuple[str, Any]]:
    """A function's instructions, without those that do nothing; one text is like another, as a message may be any."""
    return [
        (item.opname, "" if item.opcode in dis.hasconst and isinstance(item.argval, str) else item.argval)
        for item in dis.get_instructions(code)
        if item.opname != "NOP"
    ]


def _explain(problem: Exception, answer: dict[str, Any]) -> str:
    """An exception as sentences: with its line if it comes out of the learner's code, else what could not be read."""
    where = _learners_line(problem.__traceback__)
    if not where:
        given = [
            f"what {name} returns" if isinstance(value, FunctionType) else f"{name}, {a_kind(value)}"
            for name, value in answer.items()
        ]
        return f"This check cannot read {' or '.join(given)}: compare its form with what the task asks for."
    what = f"{type(problem).__name__}: {str(problem).splitlines()[0] if str(problem) else 'no message'}"
    missing = isinstance(problem, NameError) and problem.name
    help = f"\nIf a cell above makes {problem.name}, run that cell first." if missing else ""
    return f"Your code stopped with {what}{where}{help}"


def _learners_line(trace: TracebackType | None) -> str:
    own = [frame for frame in traceback.extract_tb(trace) if _is_learners(frame.filename)]
    if not own:
        return ""
    line = f": `{own[-1].line}`" if own[-1].line else ""
    return f" in line {own[-1].lineno} of {own[-1].name}{line}"


def _is_learners(filename: str) -> bool:
    return not filename.startswith((_PACKAGE, sys.prefix, sys.base_prefix)) and "site-packages" not in filename
