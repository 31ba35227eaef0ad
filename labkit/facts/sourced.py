"""A fact: a value, where it was read, on which day, and how near that source is to the one who must know.

Every data file about the world outside the course is read here, and a fault in it is told with its place. Knows nothing
of what the facts are about (`catalogue`, `licences`, `pricing`).
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Collection, Iterable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from labkit.base.errors import LabError

MAKER, MEASURED, SECOND_HAND = "maker", "measured here", "second hand"
# From the surest to the least sure: what they mean, for the list of `python -m labkit facts` and for people.
GRADES = {
    MAKER: "the maker's own page, repository, paper or price list, or a copy of that file at a commit",
    MEASURED: "measured or computed in this course, from nothing that is second hand",
    SECOND_HAND: "everything else: others' copies, reports and comparisons, what a name suggests, or a page too old",
}


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One statement: `value`, the `source` it was read in, the day it was `seen` there, and its `grade`, one of
    `GRADES`; `note` says what a reader should know about it."""

    value: Any
    source: str
    seen: datetime.date
    grade: str
    note: str = ""

    @property
    def is_second_hand(self) -> bool:
        """Whether a reader must be told that this does not come from its maker, and was not measured here."""
        return self.grade == SECOND_HAND

    @property
    def read(self) -> str:
        """When it was read, for a sentence: "read on 2026-11-23", or "second hand, read on 2026-11-23"."""
        return f"{'second hand, ' if self.is_second_hand else ''}read on {self.seen}"


_Kind = TypeVar("_Kind", bound=Fact)
_NAMES = {str: "text", int: "whole number", datetime.date: "date"}


def fact(where: str, table: Any, kind: type[_Kind] = Fact, *, values: Collection[Any] | None = None) -> _Kind:
    """The fact in one table of a TOML file, as Fact or as a class made from it; `values` are those that it may have.

    LabError, beginning with `where`, for anything that is not as it must be.
    """
    parts = get_type_hints(kind)
    optional = {part.name for part in fields(kind) if part.default is not MISSING}
    check_keys(where, table, [part for part in parts if part not in optional], parts)
    for part in table.keys() - {"value"}:
        if not isinstance(table[part], parts[part]):
            raise LabError(f"{where} has a {part!r} that is no {_NAMES[parts[part]]}: {table[part]!r}.")
        if parts[part] is str and not table[part].strip():
            raise LabError(f"{where} has an empty {part!r}.")
    if values is not None and table["value"] not in values:
        raise LabError(f"{where} has the value {table['value']!r}: it must be one of {', '.join(map(str, values))}.")
    if table["grade"] not in GRADES:
        raise LabError(f"{where} has the grade {table['grade']!r}: it must be one of {', '.join(GRADES)}.")
    on_the_web = table["source"].startswith("https://")
    if table["grade"] == MAKER and not on_the_web or table["grade"] == MEASURED and on_the_web:
        raise LabError(f"{where} has the grade {table['grade']!r}, and its source is {table['source']!r}.")
    return kind(**table)


def check_keys(where: str, table: Any, required: Iterable[str], known: Iterable[str]) -> None:
    """LabError when something is no table, lacks a key, or has an unknown one."""
    required = list(required)
    if not isinstance(table, dict):
        raise LabError(f"{where} must be a table with {', '.join(required)}, not {table!r}.")
    for key in required:
        if key not in table:
            raise LabError(f"{where} has no {key!r}.")
    if unknown := table.keys() - set(known):
        raise LabError(f"{where} has an unknown {', '.join(sorted(unknown))}.")


def text(where: str, table: dict[str, Any], key: str) -> str:
    """A text that is no fact, such as a title. LabError when it is none, or empty."""
    if not isinstance(table[key], str) or not table[key].strip():
        raise LabError(f"{where} has a {key!r} that is no text: {table[key]!r}.")
    return table[key]


def read(file: Path) -> dict[str, Any]:
    """The tables of a TOML file. LabError with its name when it is none."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise LabError(f"The file {file.name} is not valid TOML: {problem}.") from None
