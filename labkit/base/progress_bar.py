"""A progress bar for work that takes seconds: one line of text that a terminal and a notebook show alike.

It stays when it is done: a line that ends the same each time can be compared, one that vanishes cannot.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def bar(items: Iterable[Item], what: str, *, quiet: bool = False, total: int | None = None) -> Iterable[Item]:
    """`items`, counted on the error stream while they are worked on; silently when `quiet`."""
    from tqdm import tqdm

    return tqdm(items, desc=what, total=total, disable=quiet, ncols=80)
