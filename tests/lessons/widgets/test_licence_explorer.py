"""The licence explorer without a browser: every choice set, its HTML read."""

from __future__ import annotations

import html

import pytest

import labkit
from labkit.base.errors import LabError
from labkit.facts import catalogue, licences


def test_it_shows_what_the_function_says():
    view = labkit.widgets.licence_explorer()
    for licence in licences.ids():
        for use in licences.USES:
            view.parts["licence"].value, view.parts["use"].value = licence, use
            shown = view.parts["output"].value
            fact = licences.get(licence).uses[use]
            assert html.escape(fact.paraphrase) in shown and html.escape(fact.clause) in shown
            assert f'<a href="{fact.source}"' in shown and str(fact.seen) in shown
            assert licences.NOT_ADVICE in shown
            assert html.escape(f'labkit.licences.explain("{licence}", "{use}")') in shown


def test_the_answer_is_a_word_and_a_sign_beside_the_colour():
    view = labkit.widgets.licence_explorer("llama2", "military")
    looks = {}
    for licence, use in [
        ("mit", "military"),
        ("llama3.2", "use_in_the_eu"),
        ("llama2", "military"),
        ("gemma", "military"),
    ]:
        view.parts["licence"].value, view.parts["use"].value = licence, use
        answer = licences.ANSWERS[licences.get(licence).uses[use].value]
        before, _, _ = view.parts["output"].value.partition(f"{licences.USES[use]} {answer}.")
        looks[answer] = (before.rsplit("background:", 1)[1].split(";")[0], before.strip()[-1])
    assert len(looks) == 4
    assert len({colour for colour, _ in looks.values()}) == len({sign for _, sign in looks.values()}) == 4


def test_a_model_stands_for_its_licence():
    view = labkit.widgets.licence_explorer("llama-3.2-1b-instruct", "use_in_the_eu")
    assert "Llama 3.2 Community" in view.parts["output"].value
    for entry in catalogue.all():
        view.parts["licence"].value = entry.name
        assert html.escape(licences.get(entry.licence).title) in view.parts["output"].value


def test_the_hubs_id_will_do_and_a_wrong_one_is_told():
    assert labkit.widgets.licence_explorer("mrl").parts["licence"].value == "mistral-research"
    with pytest.raises(LabError, match="did you mean llama2"):
        labkit.widgets.licence_explorer("llama-2")


def test_where_widgets_cannot_live_its_name_stands():
    assert repr(labkit.widgets.licence_explorer()) == "<Licence explorer: run this cell to use it>"
