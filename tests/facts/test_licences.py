"""Licences and openness: every fact says where it was read, every licence answers every use, mistakes are named."""

from __future__ import annotations

import re
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.facts import catalogue, licences
from tests.rows import every

LICENCES = [licences.get(name) for name in licences.ids()]
MODELS = list(licences.openness().index)
each_licence = every(LICENCES, lambda licence: licence.id)

GOOD = (assets.path("licences") / "llama2.toml").read_text(encoding="utf-8")
GOOD_MODELS = assets.path("openness.toml").read_text(encoding="utf-8")


@each_licence
def test_each_licence_answers_each_question_in_our_own_words(licence):
    assert list(licence.uses) == list(licences.USES)
    assert licence.text_url.startswith("https://")
    for use in licence.uses.values():
        assert use.value in licences.ANSWERS
        assert use.clause
        assert re.fullmatch(r"[A-Z][^\"]{20,320}\.", use.paraphrase)


def test_there_are_licences_uses_and_models_enough():
    assert len(LICENCES) >= 8 and len(licences.USES) >= 8 and len(MODELS) >= 12
    assert len({licence.hub_id for licence in LICENCES}) == len(LICENCES)


def test_found_by_id_and_by_the_hubs_id():
    for licence in LICENCES:
        assert licences.get(licence.id) is licences.get(f" {licence.hub_id.upper()} ") is licence
    assert licences.get("mrl").id == "mistral-research"
    for entry in catalogue.all():
        assert licences.get(entry.licence).hub_id == entry.licence


def test_only_apache_and_mit_are_approved():
    assert {licence.id for licence in LICENCES if licence.approved_by_osi} == {"apache-2.0", "mit"}


@every(
    [
        ("llama2", "over_700_million_users", "conditional", "section 2"),
        ("llama2", "train_another_model_on_outputs", "no", "1.b.v"),
        ("llama2", "military", "no", "use policy"),
        ("llama2", "change_the_name", "allowed", "5.a"),
        ("llama3.1", "train_another_model_on_outputs", "conditional", "1.b.i"),
        ("llama3.1", "change_the_name", "conditional", "1.b.i"),
        ("llama3.1", "use_in_the_eu", "allowed", "1.a"),
        ("llama3.2", "use_in_the_eu", "conditional", "use policy"),
        ("gemma", "train_another_model_on_outputs", "conditional", "1.1(e)"),
        ("mrl", "commercial_product", "no", "3.2"),
        ("cc-by-nc-4.0", "commercial_product", "no", "1(i)"),
        ("cc-by-4.0", "leave_out_attribution", "conditional", "3(a)"),
        ("bigscience-bloom-rail-1.0", "commercial_product", "conditional", "paragraphs 2, 4 and 5"),
        ("apache-2.0", "sue_over_patents", "conditional", "section 3"),
        ("mit", "commercial_product", "allowed", "paragraph 1"),
    ]
)
def test_well_known_clauses(row):
    licence, use, value, clause = row
    fact = licences.get(licence).uses[use]
    assert fact.value == value and clause in fact.clause


def test_an_approved_licence_rules_nothing_out():
    for licence in LICENCES:
        if licence.approved_by_osi:
            assert {use.value for use in licence.uses.values()} <= {"allowed", "conditional"}


def test_the_table_is_what_the_files_say():
    table = licences.table()
    assert list(table.index) == licences.ids() and list(table.columns) == list(licences.USES)
    for licence in LICENCES:
        assert dict(table.loc[licence.id]) == {use: fact.value for use, fact in licence.uses.items()}


@every(licences.USES)
def test_an_explanation_says_all_and_that_it_is_no_advice(use):
    for licence in LICENCES:
        fact, text = licence.uses[use], licences.explain(licence.hub_id, use)
        answer = f"{licences.USES[use]} {licences.ANSWERS[fact.value]}."
        assert text.splitlines()[:3] == [licence.title, answer, fact.paraphrase]
        assert fact.clause in text and fact.source in text and str(fact.seen) in text
        assert text.endswith("This is teaching material, not legal advice.")
        assert f"({fact.read}).\n" in text and ("(second hand, read on " in text) is fact.is_second_hand


def test_what_was_not_read_in_full_is_told(tmp_path: Path, monkeypatch):
    file = tmp_path / "llama2.toml"
    head, uses = GOOD.split("[uses.", 1)
    doubtful = uses.replace('grade = "maker"', 'grade = "second hand"\nnote = "half read"')
    file.write_text(f"{head}[uses.{doubtful}", encoding="utf-8")
    monkeypatch.setattr(licences, "_licences", lambda: {"llama2": licences.load(file)})
    said = licences.explain("llama2", "commercial_product")
    assert "(second hand, read on 2026-11-23).\nNote: half read.\n" in said


def test_openness_is_a_table_of_facts():
    table = licences.openness()
    assert list(table.columns) == list(licences.ASPECTS)
    assert set(table.to_numpy().flat) == {"yes", "partly", "no"}
    fact = licences.openness_fact("Mistral-7B", "data")
    assert (fact.value, fact.grade) == ("no", "maker") and "disclosed" in fact.note
    assert licences.openness_of("gpt-4").title.startswith("GPT-4")


def test_openness_agrees_with_the_catalogue_and_the_licences():
    for model in set(MODELS) & set(catalogue.names()):
        approved = licences.get(catalogue.get(model).licence).approved_by_osi
        assert (licences.openness_fact(model, "licence").value == "yes") is approved


def met(model: str) -> int:
    return list(licences.score(model).values()).count("met")


def test_the_scorecard_agrees_with_the_verdicts_that_osi_published():
    """https://opensource.org/ai, "Which AI systems comply": Pythia and OLMo pass, BLOOM would with other legal terms,
    Llama 2 and Mixtral lack more."""
    assert met("olmo-2-7b") == met("pythia") == 3
    bloom = {"data information": "met", "code": "met", "parameters": "partly met"}
    assert licences.score("bloom") == bloom
    assert met("llama-2-7b") == 0 and met("mixtral-8x7b") < 3


def test_the_scorecard_orders_open_and_closed():
    assert set(licences.score("gpt-4").values()) == {"not met"}
    assert met("olmo-2-7b") > met("mistral-7b") > met("llama-3.1-8b")
    for model in MODELS:
        assert list(licences.score(model)) == list(licences.REQUIREMENTS)


def test_a_models_name_stands_for_its_licence():
    for name in ("mistral-7b", "mistralai/Mistral-7B-v0.1", " Mistral-7B "):
        assert licences.get(name).id == "apache-2.0"
    assert licences.explain("llama-2-7b", "military") == licences.explain("llama2", "military")


@pytest.mark.parametrize(
    ("call", "offered"),
    [
        (lambda: licences.get("llama-2"), "no licence 'llama-2' here: did you mean llama2"),
        (lambda: licences.get("xyz"), "choose one of "),
        (lambda: licences.get("mistral-7"), "no licence 'mistral-7' here: did you mean mistral-7b"),
        (lambda: licences.explain("mit", "militar"), "no use 'militar' here: did you mean military?"),
        (lambda: licences.score("olmo"), "did you mean olmo-2-7b?"),
        (lambda: licences.openness_fact("bloom", "weight"), "did you mean weights?"),
    ],
)
def test_a_wrong_name_gets_the_nearest(call, offered):
    with pytest.raises(LabError) as failure:
        call()
    assert offered in str(failure.value)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('title = "', "title = ", "llama2.toml is not valid TOML"),
        ("hub_id = ", "hub = ", "llama2.toml has no 'hub_id'"),
        ("hub_id = ", "extra = 1\nhub_id = ", "llama2.toml has an unknown extra"),
        ('hub_id = "llama2"', 'hub_id = " "', "'hub_id' that is no text"),
        ("value = false", 'value = "no"', "'approved_by_osi' has the value 'no': it must be one of True, False"),
        ("[uses.military]", "[uses.army]", "'uses' has no 'military'"),
        (
            'value = "no"',
            'value = "never"',
            "has the value 'never': it must be one of allowed, conditional, no, unclear",
        ),
        ('clause = "section 2"', "", "the use 'over_700_million_users' has no 'clause'"),
        ('clause = "section 2"', 'clause = ""', "has an empty 'clause'"),
        ("seen = 2026-11-23", 'seen = "2026-11-23"', "'seen' that is no date"),
        ('grade = "second hand"', 'grade = "maybe"', "the grade 'maybe': it must be one of maker"),
        ('source = "https://github', 'source = "http://github', "the grade 'maker', and its source is 'http:"),
        ("[uses.military]", "[uses.military]\nsure = 1", "the use 'military' has an unknown sure"),
    ],
)
def test_an_author_learns_what_is_wrong_and_where(tmp_path: Path, old: str, new: str, complaint: str):
    assert old in GOOD
    file = tmp_path / "llama2.toml"
    file.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(LabError, match=re.escape(complaint)):
        licences.load(file)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('["gpt-4"]', '["gpt-4"', "openness.toml is not valid TOML"),
        ('["gpt-4"]', '["gpt-4"]\nprice = 1', "the model 'gpt-4' has an unknown price"),
        ("weights = ", "weight = ", "the model 'gpt-4' has no 'weights'"),
        ('value = "no"', 'value = "maybe"', "'weights' has the value 'maybe': it must be one of yes, partly, no"),
        ('["gpt-4"]', 'gpt-3 = "old"\n["gpt-4"]', "the model 'gpt-3' must be a table"),
        ("training_code = {", "training_code = 1 #{", "'training_code' must be a table"),
    ],
)
def test_a_broken_openness_file_is_named(tmp_path: Path, old: str, new: str, complaint: str):
    assert old in GOOD_MODELS
    file = tmp_path / "openness.toml"
    file.write_text(GOOD_MODELS.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(LabError, match=re.escape(complaint)):
        licences.load_openness(file)


def test_the_files_are_read_as_they_are_written():
    for licence in LICENCES:
        written = tomllib.loads(assets.path("licences", f"{licence.id}.toml").read_text(encoding="utf-8"))
        read = asdict(licence)
        assert whole(written.pop("approved_by_osi")) == read.pop("approval")
        assert {use: whole(parts) for use, parts in written.pop("uses").items()} == read.pop("uses")
        assert {"id": licence.id, **written} == read
    written = tomllib.loads(GOOD_MODELS)
    assert list(written) == MODELS
    for model, parts in written.items():
        read = asdict(licences.openness_of(model))
        assert (model, parts.pop("title")) == (read["name"], read["title"])
        assert {aspect: whole(fact) for aspect, fact in parts.items()} == read["aspects"]


def whole(parts: dict) -> dict:
    """A fact as its file has it, with the note that may be left out."""
    return {"note": "", **parts}


def test_the_readme_names_every_part():
    readme = (assets.path("licences") / "README.md").read_text(encoding="utf-8")
    parts = {key for each in tomllib.loads(GOOD)["uses"].values() for key in each} | set(tomllib.loads(GOOD))
    assert [part for part in sorted(parts) if part not in readme] == []
