"""The memory planner and the router view without a browser: their values set, their HTML read."""

from __future__ import annotations

import re

import pytest

import labkit
from labkit.facts import planning
from labkit.models import families


def test_the_planner_shows_the_table():
    view = labkit.widgets.memory_planner("mistral-7b", tokens=4096, free_gb=16)
    html = view.parts["output"].value
    table = planning.table("mistral-7b", tokens=4096, free=16e9)
    assert "7,241,732,096 parameters, 16 GB free" in html
    assert [float(found) for found in re.findall(r"([\d.]+) GB: <b>", html)] == table.total_gb.round(1).tolist()
    assert re.findall(r"<b>(fits|does not fit)</b>", html) == [
        "fits" if fits else "does not fit" for fits in table.fits
    ]


def test_the_planner_follows_its_controls():
    view = labkit.widgets.memory_planner("llama-2-7b", tokens=4096, free_gb=1000)
    before = view.parts["output"].value
    view.parts["batch"].value = 16
    assert view.parts["output"].value != before and "does not fit" not in view.parts["output"].value
    view.parts["tokens"].value = 8192
    assert "reads at most 4,096 tokens" in view.parts["output"].value
    view.parts["free_gb"].value = 2
    assert view.parts["output"].value.count("does not fit") == 4


def test_the_planner_asks_this_machine():
    assert labkit.widgets.memory_planner().parts["free_gb"].value > 0.1


@pytest.mark.slow
def test_the_router_view_shows_the_choices(pair):
    mixtral, tokenizer = families.as_mixtral(pair[0]), pair[1]
    view = labkit.widgets.router_view(mixtral, tokenizer, "one <b>two</b>")
    table = families.router_choices(mixtral, tokenizer, "one <b>two</b>")
    first = view.parts["output"].value
    shares = [
        f"{expert}: {share:.0%}"
        for row in table[table.layer == 0].itertuples()
        for expert, share in zip(row.experts, row.shares, strict=True)
    ]
    assert re.findall(r"(\d: \d+%)", first) == shares
    assert "<b>two" not in first and "&lt;" in first
    view.parts["layer"].value = 29
    assert "<b>Layer 29</b>" in view.parts["output"].value
    view.parts["text"].value = ""
    assert "There is no text: write at least one word." in view.parts["output"].value
