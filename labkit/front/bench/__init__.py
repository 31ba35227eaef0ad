"""`labkit bench`: what this machine does, as rows, ratios and the protocol behind them, in one JSON schema.

A section is a module with `run(quick) -> Section`. Absolute times belong to one machine on one day; what travels is the
ratio of two things measured in turn in one run, with its spread. No test asserts a time.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import importlib
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.base import assets, cache
from labkit.base.errors import LabError

SECTIONS = {
    "startup": "import, start(), model loading, conversion, JupyterLab, and the first set-up (minutes)",
    "decode": "prefill and decode: labkit, bare transformers and llama.cpp",
    "hub": "the local Hub: a large file, and searches over 200 repositories",
    "gateway": "the inference gateway against the bare model server",
    "widgets": "how soon a widget answers: a control moved, the first piece of an answer",
    "quantization": "size, memory, speed, perplexity and tasks of every method that works here (minutes)",
    "finetuning": "five seeds of lesson 07, the loop against a bare one, stored curves (half an hour)",
    "lessons": "each lesson, end to end: seconds and peak memory",
}
_OF_LESSONS = ("quantization", "finetuning")  # lessons name them; the others are the authors', in author/bench


@dataclass(frozen=True)
class Ratio:
    """A compared to B over interleaved pairs: the median of A/B, and the smallest and largest."""

    name: str
    median: float
    low: float
    high: float
    pairs: int
    aim: str = ""


@dataclass(frozen=True)
class Section:
    """What one section found. Every row has the same keys; units are in their names."""

    name: str
    protocol: str
    rows: list[dict[str, Any]]
    ratios: list[Ratio] = field(default_factory=list)


def ratio(name: str, above: Sequence[float], below: Sequence[float], aim: str = "") -> Ratio:
    """The ratio of paired measurements.

    >>> ratio("a to b", [2.0, 4.0, 3.0], [1.0, 1.0, 1.0]).median
    3.0
    """
    values = [a / b for a, b in zip(above, below, strict=True)]
    return Ratio(name, statistics.median(values), min(values), max(values), len(values), aim)


def interleaved(pairs: int, *measures: Callable[[], float]) -> list[list[float]]:
    """Call each measure once per round, so that a busy minute affects all of them; returns one list per measure.

    The order rotates from round to round: no measure always runs first.
    """
    results: list[list[float]] = [[] for _ in measures]
    for turn in range(pairs):
        for place in range(len(measures)):
            which = (turn + place) % len(measures)
            results[which].append(measures[which]())
    return results


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder in the cache. It also clears away those that killed processes have left."""
    place = cache.subfolder("bench")
    cache.sweep(place)
    with tempfile.TemporaryDirectory(prefix=f".scratch.{os.getpid()}.", suffix=".part", dir=place) as folder:
        yield Path(folder)


def _sections_here() -> list[str]:
    """The sections that can be run here: an installed package has only what lessons name."""
    return [name for name in SECTIONS if name in _OF_LESSONS or assets.checkout() is not None]


def _home(section: str) -> str:
    return f"labkit.front.bench.{section}" if section in _OF_LESSONS else f"author.bench.{section}"


def bench(argv: list[str]) -> int:
    """The command: run sections and print tables, or JSON."""
    parser = argparse.ArgumentParser(prog="labkit bench", description="Measure this machine.")
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", help=f"any of {', '.join(_sections_here())} (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of tables")
    parser.add_argument("--quick", action="store_true", help="fewer repeats: minutes instead of many, wider spread")
    options = parser.parse_args(argv)
    here = _sections_here()
    for name in options.sections:
        if name not in here:
            raise LabError(f"There is no section {name!r}: choose from {', '.join(here)}.")
    found = []
    for name in options.sections or here:
        section = importlib.import_module(_home(name)).run(options.quick)
        found.append(section)
        if not options.json:
            print(_as_text(section), flush=True)
    if options.json:
        print(json.dumps(_document(found), indent=1))
    return 0


def _document(sections: list[Section]) -> dict[str, Any]:
    from importlib.metadata import version

    from labkit.base import machine

    packages = ("torch", "transformers", "xllamacpp")
    here = machine.detect()
    return {
        "schema": 1,
        "date": datetime.date.today().isoformat(),
        "machine": dataclasses.asdict(here) | {"device": here.device, "dtype": here.dtype},
        "versions": {name: version(name) for name in packages},
        "sections": [dataclasses.asdict(section) for section in sections],
    }


def _as_text(section: Section) -> str:
    lines = ["", f"{section.name}: {section.protocol}"]
    if section.rows:
        keys = list(section.rows[0])
        table = [keys] + [[_cell(row[key]) for key in keys] for row in section.rows]
        widths = [max(len(line[column]) for line in table) for column in range(len(keys))]
        lines += ["  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in table]
    for item in section.ratios:
        aim = f" (aim: {item.aim})" if item.aim else ""
        spread = f"{item.low:.3f} to {item.high:.3f} over {item.pairs} pairs"
        lines.append(f"  {item.name}: {item.median:.3f}, {spread}{aim}")
    return "\n".join(line.rstrip() for line in lines)


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 10 else f"{value:,.0f}"
