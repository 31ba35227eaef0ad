"""The examples in docstrings are true: each module's are run. They need no torch, no model and no network."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import labkit

ROOT = Path(labkit.__file__).parents[1]
MODULES = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in ("labkit", "author")
    for file in (ROOT / package).rglob("*.py")
    if ">>> " in file.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, capsys):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted, "the module shows an example that doctest does not find"
    assert not result.failed, capsys.readouterr().out
