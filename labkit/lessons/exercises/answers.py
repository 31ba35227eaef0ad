"""Reads what learners hand in: numbers of any kind, letters in any form, functions that may do anything.

Whatever cannot be read becomes `Wrong`, with a sentence in the learner's terms. Knows nothing of exercises or lessons.
"""

from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable
from fractions import Fraction
from numbers import Real
from typing import Any


class Wrong(Exception):
    """Raised by an exercise's `verify`; its message says what is wrong, in the learner's terms."""


def expect(condition: bool, otherwise: str) -> None:
    """Raise Wrong with the sentence `otherwise` unless the condition holds."""
    if not condition:
        raise Wrong(otherwise)


def number_of(value: Any, name: str) -> float:
    """`value` as a float: Python's numbers, Decimal, and one number in an array or a tensor. Wrong for anything else.

    A missing `return` and a text in quotes are the usual reasons.
    """
    if value is None:
        raise Wrong(f"{name} is None: did you forget `return`?")
    found = value
    if hasattr(value, "item"):  # NumPy and torch
        count = math.prod(getattr(value, "shape", ()))
        expect(count == 1, f"{name} should be one number, and is {count} numbers.")
        found = value.item()
    if hasattr(found, "as_tuple"):  # Decimal, which is no Real
        found = Fraction(found) if found.is_finite() else math.nan
    if isinstance(found, bool) or not isinstance(found, Real):
        raise Wrong(f"{name} should be a number, and is {short(value)}, {a_kind(value)}.")
    expect(math.isfinite(found), f"{name} is {found}, which is no number that can be compared.")
    return float(found)


def is_close(value: float, expected: float, relative: float = 1e-3, *, digits: int = 3) -> bool:
    """Whether two numbers agree to `relative` of the expected one, or the first is the expected one rounded.

    Rounded means: to `digits` digits that count or more, as lessons print numbers. 45.1e9 is right for 45,097,156,608.
    """
    if math.isclose(value, expected, rel_tol=relative, abs_tol=1e-12):
        return True
    return any(math.isclose(value, float(f"{expected:.{kept}g}"), rel_tol=1e-6) for kept in range(digits, 7))


_ALL_IN_ONE = re.compile(r"[\W\d_]*(?:[A-Za-z?][\W\d_]*){2,6}")
_ONE = re.compile(r"\W*([A-Za-z?])\s*(?:[).:].*|\W*)", re.DOTALL)


def letters_of(answers: tuple[Any, ...]) -> list[Any]:
    """The answers to a quiz, one for each question, from `"a", "B"`, `"A,B"`, `"ab"`, or `["(a)", "b) its text"]`.

    What is no letter stays as it is.
    """
    if len(answers) == 1 and isinstance(answers[0], (list, tuple)):
        answers = tuple(answers[0])
    elif len(answers) == 1 and isinstance(answers[0], str) and _ALL_IN_ONE.fullmatch(answers[0]):
        answers = tuple(re.findall(r"[A-Za-z?]", answers[0]))
    found = [_ONE.fullmatch(answer) if isinstance(answer, str) else None for answer in answers]
    return [match[1].lower() if match else answer for match, answer in zip(found, answers, strict=True)]


def watched(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, raising Wrong when it changes a list, a dict or a tensor that it was given."""
    if inspect.iscoroutinefunction(function):
        return function

    @functools.wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        everything = [*given, *named.values()]
        before = [_content(value) for value in everything]
        result = function(*given, **named)
        for place, (value, was) in enumerate(zip(everything, before, strict=True)):
            if _content(value) != was:
                names = [*list(inspect.signature(function).parameters)[: len(given)], *named]
                name = names[place] if place < len(names) else "its input"
                raise Wrong(f"{function.__name__} changes {name}, which the caller still needs: work on a copy.")
        return result

    return call


def _content(value: Any) -> str:
    """What a container holds, as a text that is the same as long as nothing in it changes; "" for other things."""
    if hasattr(value, "tolist") and math.prod(value.shape) < 100_000:
        return repr(value.tolist())
    return repr(value) if isinstance(value, (list, dict, set)) else ""


def short(value: Any) -> str:
    """A value as Python writes it, cut where it would fill the page."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def a_kind(value: Any) -> str:
    """Its type with an article: "a list", "an OrderedDict"."""
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
