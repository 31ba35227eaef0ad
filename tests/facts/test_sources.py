"""Where every fact comes from: a day, a document, and a grade that its source deserves. One test a data file."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from author import facts
from labkit.base import assets
from labkit.facts import catalogue, licences, sourced
from tests.facts import makers
from tests.rows import every

DOCUMENT = re.compile(r"https://[\w.-]+\.\w+/\S*|(computed|measured|course|transformers [\d.]+): \S.*")


@dataclass(frozen=True)
class Row:
    """A fact as its file has it, right or wrong; `whose` word counts for it."""

    file: str
    name: str
    key: str
    table: Any
    whose: set[str]
    kind: type[sourced.Fact] = sourced.Fact


def rows() -> Iterator[Row]:
    for file in sorted(path.relative_to(assets.path()).as_posix() for path in assets.path().rglob("*.toml")):
        tables = tomllib.loads(assets.path(file).read_text(encoding="utf-8"))
        if file.startswith("catalogue/"):
            who = {tables["maker"]["value"]}
            yield from (Row(file, "", key, table, who) for key, table in tables.items() if key != "title")
        elif file.startswith("licences/"):
            yield Row(file, "", "approved_by_osi", tables["approved_by_osi"], {"Open Source Initiative"})
            who = {assets.path(file).stem}
            yield from (Row(file, "", use, table, who, licences.Use) for use, table in tables["uses"].items())
        elif file == "openness.toml":
            for model, aspects in tables.items():
                for key, table in aspects.items():
                    who = {makers.OF_MODEL[model], "Open Source Initiative" if key == "licence" else ""}
                    yield from [Row(file, model, key, table, who)] if key != "title" else []
        elif file == "facts.toml":
            for table in tables.pop("score"):
                yield Row(file, table["model"], table["benchmark"], table, {table["measured_by"]}, catalogue.Score)
            yield from (Row(file, name, "", table, {makers.of_statement(name)}) for name, table in tables.items())
        elif file == "prices.toml":
            for table in tables["sold"]:
                told = {key: table[key] for key in ("source", "seen", "grade", "note")} | {"value": table["model"]}
                who = {makers.OF_PROVIDER.get(table["provider"], "")}
                yield Row(file, table["provider"], table["model"], told, who)
        elif file == "costs.toml":
            for name, table in tables.items():
                yield Row(file, name, "", {key: table[key] for key in table if key != "unit"}, set())


def check(row: Row) -> None:
    fact = sourced.fact("it", row.table, row.kind)
    assert DOCUMENT.fullmatch(fact.source), f"{fact.source!r} is neither an address nor one of the README's documents"
    assert datetime.date(2026, 11, 1) <= fact.seen <= datetime.date.today()
    assert isinstance(fact.value, str | int | float)
    theirs = any(makers.is_makers(who, fact.source, row.key) for who in row.whose)
    if fact.grade == sourced.MAKER:
        assert theirs, f"{fact.source} does not speak for {' or '.join(row.whose)}: see tests/facts/makers.py"
    elif theirs:
        assert fact.note, "its source is the maker's: a note must say why it is second hand all the same"


ROWS = list(rows())


def of_file(start: str):
    """A test of all rows of one data file."""
    return every([row for row in ROWS if row.file.startswith(start)], lambda row: f"{row.file} {row.name} {row.key}")


@of_file("catalogue/")
def test_the_models(row):
    check(row)


@of_file("licences/")
def test_the_licences(row):
    check(row)


@of_file("openness.toml")
def test_the_openness_of_models(row):
    check(row)


@of_file("facts.toml")
def test_the_statements_and_scores(row):
    check(row)


@of_file("prices.toml")
def test_what_is_sold(row):
    check(row)


@of_file("costs.toml")
def test_the_costs(row):
    check(row)


def test_the_list_for_authors_has_every_fact():
    assert sorted((row.file, str(row.table["value"])) for row in ROWS) == sorted(
        (row.file, str(row.fact.value)) for row in facts.rows()
    )


def test_an_owner_is_named_to_the_end():
    """Else github.com/openai would speak for OpenAI, and github.com/openai-fans too."""
    for who, prefixes in makers.MAKERS.items():
        for prefix in prefixes:
            assert re.fullmatch(r"https://[\w./-]+(/|\d{4}\.\d{5})", prefix), (who, prefix)


@pytest.mark.parametrize(
    ("who", "source", "key"),
    [
        ("OpenAI", "https://docs.rs/oaapi/latest/oaapi/chat/struct.CompletionsRequestBody.html", ""),
        ("OpenAI", "https://github.com/openai-fans/gpt-oss/blob/main/README.md", "licence"),
        ("Meta", "https://huggingface.co/NousResearch/Llama-2-13b-chat-hf/blob/main/config.json", "layers"),
        ("Hugging Face", "https://github.com/huggingface/transformers/blob/main/LICENSE", "licence"),
        ("Z.ai", "https://huggingface.co/zai-org/GLM-4.7/blob/refs%2Fpr%2F49/config.json", "config"),
        ("Google DeepMind", "https://huggingface.co/google/gemma-3-1b-it/discussions/2", "layers"),
        ("Nobody", "https://example.org/", ""),
    ],
)
def test_a_copy_a_fork_and_a_proposed_change_are_second_hand(who, source, key):
    assert not makers.is_makers(who, source, key)


def test_the_head_of_a_page_on_the_hub_is_the_repositorys_own():
    assert makers.is_makers("Z.ai", "https://huggingface.co/zai-org/GLM-4.7/blob/refs%2Fpr%2F21/x.json", "licence")


def test_code_that_runs_a_model_is_there_and_under_an_open_licence():
    """openness.toml says so of the installed library, by the name of the class."""
    import importlib.metadata

    import transformers

    openness = [row.table for row in ROWS if row.file == "openness.toml"]
    measured = [table["source"] for table in openness if table["grade"] == sourced.MEASURED]
    assert len(measured) >= 5 and importlib.metadata.metadata("transformers")["License"].startswith("Apache 2.0")
    for source in measured:
        assert hasattr(transformers, re.search(r"\w+ForCausalLM", source)[0]), source
