"""`python -m labkit facts`: every fact of the course with its grade and its age; `--live` asks the world what changed.

Knows where facts are kept. Knows nothing of what they mean, nor of the Hub (`author.live_facts`).
"""

from __future__ import annotations

import argparse
import datetime
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from labkit.base import assets, cache
from labkit.facts import catalogue, licences, pricing, sourced
from labkit.facts.sourced import Fact


@dataclass(frozen=True)
class Row:
    """One fact: the `file` below assets that has it, what it is about, and its name there."""

    file: str
    subject: str
    key: str
    fact: Fact


def rows() -> list[Row]:
    """Every fact that has a source, in the order of files."""
    return list(_rows())


def _rows() -> Iterator[Row]:
    for file in sorted(assets.path("catalogue").rglob("*.toml")):
        for key, fact in catalogue.load(file).facts.items():
            yield Row(file.relative_to(assets.path()).as_posix(), file.stem, key, fact)
    for name in licences.ids():
        terms = licences.get(name)
        for key, fact in {"approved_by_osi": terms.approval, **terms.uses}.items():
            yield Row(f"licences/{name}.toml", name, key, fact)
    for model in licences.openness().index:
        for key, fact in licences.openness_of(model).aspects.items():
            yield Row("openness.toml", model, key, fact)
    for name, fact in catalogue.statements().items():
        yield Row("facts.toml", name, "", fact)
    for score in catalogue.all_scores():
        yield Row("facts.toml", score.model, f"{score.benchmark}, {score.method}", score)
    for name in sourced.read(assets.path("costs.toml")):
        yield Row("costs.toml", name, "", pricing.cost(name))
    for offer in [*pricing.offers(), *pricing.history()]:
        fact = Fact(value=offer.model, source=offer.source, seen=offer.seen, grade=offer.grade, note=offer.note)
        yield Row("prices.toml", offer.provider, "", fact)


def facts(argv: list[str]) -> int:
    """`facts`: list them, or with `--live` ask the Hub and the open price table; 1 when something differs."""
    from author import live_facts

    parser = argparse.ArgumentParser(
        prog="labkit facts", description="Every fact of the course by grade, the oldest first; or what has changed."
    )
    parser.add_argument("word", nargs="*", help="only facts in whose line all these words stand")
    parser.add_argument("--grade", choices=sourced.GRADES, help="only facts of this grade")
    live = parser.add_argument_group("asking the world")
    live.add_argument("--live", action="store_true", help="ask the Hub and the price table; exit 1 if they differ")
    live.add_argument("--hub", metavar="URL", help="another Hub than huggingface.co")
    live.add_argument("--prices", metavar="URL", default=live_facts.PRICES, help="or a file: the open price table")
    live.add_argument("--patch", type=Path, metavar="FILE", help="write the patch there, for `git apply`")
    options = parser.parse_args(argv)
    if not options.live:
        print("\n".join(listed(rows(), options.grade, options.word, datetime.date.today())))
        return 0
    report = live_facts.ask(assets.path("catalogue"), options.hub, options.prices, datetime.date.today())
    print(report.text())
    if options.patch:
        cache.write_atomically(options.patch, report.patch)
    elif report.patch:
        print(f"\nAs a patch, for a person to read and `git apply`:\n\n{report.patch}", end="")
    return int(report.differs)


def listed(found: list[Row], grade: str | None, words: list[str], today: datetime.date) -> list[str]:
    """One line a fact, from the least sure grade to the surest and from the oldest to the newest; then the counts."""
    order = list(sourced.GRADES)
    found = sorted(found, key=lambda row: (-order.index(row.fact.grade), row.fact.seen))
    lines = [(row, _line(row, today)) for row in found if grade in (None, row.fact.grade)]
    lines = [(row, line) for row, line in lines if all(word.lower() in line.lower() for word in words)]
    counts = Counter(row.fact.grade for row, _ in lines)
    summary = [f"{counts[name]:>5} {name}: {meaning}" for name, meaning in sourced.GRADES.items()]
    return [*(line for _, line in lines), "", *summary]


def _line(row: Row, today: datetime.date) -> str:
    what = f"{row.subject} {row.key}".strip()
    value = str(row.fact.value) if len(str(row.fact.value)) <= 40 else f"{str(row.fact.value)[:37]}..."
    age = (today - row.fact.seen).days
    return f"{row.fact.grade:<13} {age:>4} days  {what} = {value}  [{row.fact.source}]"
