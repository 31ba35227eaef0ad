"""A package whose names are imported when they are first used: its `__init__` is a table of contents."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def of(package: str, homes: Mapping[str, tuple[str, ...]]) -> tuple[Callable, Callable, list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of `package`: its modules, by relative names, and what is used of each."""
    modules = {name: module for module, names in homes.items() for name in names}

    def find(name: str) -> Any:
        if name in homes:
            return importlib.import_module(f".{name}", package)
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f".{modules[name]}", package), name)
        setattr(sys.modules[package], name, value)
        return value

    return find, lambda: sorted({*vars(sys.modules[package]), *modules}), sorted(modules)
