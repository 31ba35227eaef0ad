"""One test for all rows of a data file: it goes through every row and tells each that is wrong, not the first alone."""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import pytest


def every(rows: Iterable[Any], name: Callable[[Any], str] = str) -> Callable[[Callable], Callable]:
    """Call the test with each of `rows` as its first argument, fixtures as usual; `name` tells a row in the report.

    For data. What takes another way through the code for each input stays `pytest.mark.parametrize`.
    """
    rows = list(rows)

    def decorate(check: Callable) -> Callable:
        signature = inspect.signature(check)

        @functools.wraps(check)
        def test(**fixtures: Any) -> None:
            assert rows, "there is no row"
            faults = []
            for row in rows:
                try:
                    check(row, **fixtures)
                except (Exception, pytest.fail.Exception) as fault:
                    line = traceback.extract_tb(fault.__traceback__)[:2][-1].lineno  # where the test is, not deeper
                    kind = "" if isinstance(fault, AssertionError) else f"{type(fault).__name__}: "
                    faults.append(f"{name(row)} (line {line}): {kind}{fault}")
            if faults:
                pytest.fail(f"{len(faults)} of {len(rows)} rows:\n" + "\n".join(faults), pytrace=False)

        # Without the row: pytest looks for a fixture of each name that it finds here.
        test.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])
        return test

    return decorate
