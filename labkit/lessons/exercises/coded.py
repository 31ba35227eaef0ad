"""What an exercise is: something to check, hints, a solution, and an outcome that is a value, never an exception.

Values are passed in; nothing reads the learner's variables. An exercise that nobody has tried says so in one line, a
wrong answer is explained in the learner's terms, and an error in the learner's code is shown with its line.
Knows nothing of any lesson's subject.
"""

from __future__ import annotations

import dis
import functools
import inspect
import math
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, TracebackType
from typing import Any

from labkit.base.errors import LabError

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


class Wrong(Exception):
    """Raised by an exercise's `verify`; its message says what is wrong, in the learner's terms."""


@dataclass(frozen=True)
class Outcome:
    """The result of a check. `status` is unattempted, wrong, error or correct; the repr is what a notebook shows."""

    number: str
    status: str
    message: str

    def __repr__(self) -> str:
        return f"[{self.number}] {self.message}"


class Text:
    """A hint or a solution: text that a notebook shows as it is."""

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
        """The next hint, or hint number `which` (from 1)."""
        if which is None:
            self._hints_given = min(self._hints_given + 1, len(self.hints))
            which = self._hints_given
        if not 1 <= which <= len(self.hints):
            raise LabError(f"Exercise {self.number} has {len(self.hints)} hints: ask for 1 to {len(self.hints)}.")
        more = f" ({len(self.hints) - which} more)" if which < len(self.hints) else ""
        return Text(f"[{self.number}] Hint {which}{more}: {self.hints[which - 1]}")

    def outcome(self, status: str, message: str) -> Outcome:
        """The outcome, recorded in the learner's progress. A progress file that cannot be written costs no answer."""
        from labkit.lessons import progress

        try:
            progress.record(self.number, status)
        except LabError as problem:
            message = f"{message}\n(Your progress was not saved: {problem})"
        return Outcome(self.number, status, message)


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
        try:
            praise = self.verify(**answer)
        except Wrong as wrong:
            return self.outcome("wrong", f"Not yet: {wrong}")
        except Exception as problem:
            return self.outcome("error", _explain(problem))
        return self.outcome("correct", f"Correct. {praise}" if praise else "Correct.")

    def solution(self) -> Text:
        """The solution's code, and why it is one."""
        return Text(f"[{self.number}] {self.title}\n\n{self.code.strip()}\n\n{self.why}")


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


def _explain(problem: Exception) -> str:
    """An exception out of the learner's code, with the line it came from."""
    what = f"{type(problem).__name__}: {str(problem).splitlines()[0] if str(problem) else 'no message'}"
    where = _learners_line(problem.__traceback__)
    return f"Your code stopped with {what}{where}" if where else f"Your answer could not be checked ({what})."


def _learners_line(trace: TracebackType | None) -> str:
    own = [frame for frame in traceback.extract_tb(trace) if _is_learners(frame.filename)]
    if not own:
        return ""
    line = f": `{own[-1].line}`" if own[-1].line else ""
    return f" in line {own[-1].lineno} of {own[-1].name}{line}"


def _is_learners(filename: str) -> bool:
    return not filename.startswith((_PACKAGE, sys.prefix, sys.base_prefix)) and "site-packages" not in filename


def expect(condition: bool, otherwise: str) -> None:
    """Raise Wrong with the sentence `otherwise` unless the condition holds."""
    if not condition:
        raise Wrong(otherwise)


def number_of(value: Any, name: str) -> float:
    """`value` as a float, or Wrong in words: a missing `return` and a text in quotes are the usual reasons."""
    if value is None:
        raise Wrong(f"{name} is None: did you forget `return`?")
    if hasattr(value, "item"):  # a number of torch or numpy
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Wrong(f"{name} should be a number, and is {value!r}, a {type(value).__name__}.")
    return float(value)


def is_close(value: float, expected: float, relative: float = 1e-3) -> bool:
    """Whether two numbers agree to `relative` of the expected one."""
    return math.isclose(value, expected, rel_tol=relative, abs_tol=1e-12)
