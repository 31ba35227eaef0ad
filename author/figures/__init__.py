"""The course's drawings: `python -m author.figures` writes `assets/figures/*.svg` anew. Tests hold that they are so.

A module here has a function `drawings` that gives drawings by the names of their files. To add one: draw it with
`drawing.Drawing` in the module of its subject, and put the module into `MODULES` where it is new.
"""

from __future__ import annotations

import importlib

from author.figures.drawing import Drawing

MODULES = ("badges",)


def all_drawings() -> dict[str, Drawing]:
    """Every drawing of the course, by the name of its file."""
    found: dict[str, Drawing] = {}
    for name in MODULES:
        found |= importlib.import_module(f"author.figures.{name}").drawings()
    return found
