"""The data sets written for the course: where they are, what their splits hold, and that nobody has changed them.

Each set is a folder in `assets/data` with a data sheet (`README.md`) and a file for each split, one JSON object a line.
Knows files and hashes. Knows nothing of what a model makes of them (`finetuning`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from labkit.base import assets, cache
from labkit.base.errors import LabError


def names() -> list[str]:
    """The data sets, in alphabetical order.

    >>> names()
    ['documents', 'general', 'messages', 'notes', 'tone']
    """
    return sorted(folder.name for folder in assets.path("data").iterdir() if (folder / "README.md").exists())


def splits(name: str) -> list[str]:
    """The splits of a set, in alphabetical order. LabError when there is no such set.

    >>> splits("notes")
    ['template', 'test', 'train', 'validation']
    """
    return sorted(file.stem for file in _folder(name).glob("*.jsonl"))


def load(name: str, split: str) -> list[dict[str, Any]]:
    """The rows of one split, in the order of its file. LabError for an unknown set or split.

    >>> load("notes", "train")[1]["answer"]
    '{"name": "Yusuf Flores", "amount": 407, "date": "13/8"}'
    """
    return [json.loads(line) for line in file(name, split).read_text(encoding="utf-8").splitlines()]


def file(name: str, split: str) -> Path:
    """The file of one split: one JSON object a line, UTF-8."""
    if split not in splits(name):
        raise LabError(f"The data set {name!r} has no split {split!r}: it has {', '.join(splits(name))}.")
    return _folder(name) / f"{split}.jsonl"


def sheet(name: str) -> str:
    """The data sheet: who made the set, how, its licence, splits and known limits."""
    return (_folder(name) / "README.md").read_text(encoding="utf-8")


def sha256(name: str, split: str) -> str:
    """The hash of a split's file: a stored result names the data it belongs to by it."""
    return cache.sha256(file(name, split))


def _folder(name: str) -> Path:
    if name not in names():
        raise LabError(f"There is no data set {name!r}: there are {', '.join(names())}.")
    return assets.path("data", name)
