"""labkit: the helper package of the Open Models Lab.

It hides only what is not the lesson: where am I running, where do the weights come from, checks, widgets, plots.
Importing it costs milliseconds and loads no torch: everything below is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# The names a lesson uses, and where each one lives.
_HOMES = {
    "start": ("labkit.session", "start"),
    "Lab": ("labkit.session", "Lab"),
    "LabError": ("labkit.errors", "LabError"),
    "____": ("labkit.exercises.engine", "____"),
}
_MODULES = {
    *("assets", "cards", "catalogue", "doctor", "evaluation", "exercises", "families", "finetuning", "hub"),
    *("inference", "judging", "licences", "local", "machine", "memory", "models", "planning", "progress", "project"),
    *("quantization", "sampling", "teaching_data", "tokens", "widgets"),
}

if TYPE_CHECKING:
    from labkit.errors import LabError
    from labkit.exercises.engine import ____
    from labkit.session import Lab, start

__all__ = ["Lab", "LabError", "____", "start"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        module, attribute = _HOMES[name]
        value = getattr(importlib.import_module(module), attribute)
    elif name in _MODULES:
        value = importlib.import_module(f"labkit.{name}")
    else:
        raise AttributeError(f"module 'labkit' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
