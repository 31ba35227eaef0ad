"""The blind arena without a browser: buttons pressed, HTML read; one round with the real model."""

from __future__ import annotations

import functools
import re
import threading
import time

import pytest

import labkit
from labkit.base.errors import LabError
from labkit.models import judging, local


def says(text: str):
    return lambda messages, stop: iter([text])


def settle(view) -> None:
    deadline = time.monotonic() + 240
    while view.parts["ask"].disabled and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not view.parts["ask"].disabled


def ask(view) -> tuple[str, str]:
    view.parts["ask"].click()
    settle(view)
    return view.parts["output_left"].value, view.parts["output_right"].value


def voting(view) -> list[bool]:
    return [not view.parts[choice].disabled for choice in judging.CHOICES]


def test_nothing_tells_who_stands_where_before_the_vote():
    view = labkit.widgets.arena({"Anna": says("I am small."), "Bert": says("I am large.")}, seed=1)
    assert voting(view) == [False] * 3
    for _ in range(3):
        left, right = ask(view)
        shown = left + right + re.sub("<ul>.*</ul>", "", view.parts["output"].value)
        assert "Anna" not in shown and "Bert" not in shown and voting(view) == [True] * 3
        view.parts["left"].click()
        expected = ("Anna", "Bert") if "small" in left else ("Bert", "Anna")
        assert f"left was {expected[0]}, right was {expected[1]}" in view.parts["output"].value
        assert voting(view) == [False] * 3


def test_places_change_and_a_judge_of_answers_is_counted_as_one():
    view = labkit.widgets.arena({"Anna": says("small"), "Bert": says("large")}, seed=5)
    lefts = set()
    for _ in range(12):
        left, _right = ask(view)
        lefts.add("small" in left)
        view.parts["left" if "small" in left else "right"].click()
    html = view.parts["output"].value
    assert lefts == {True, False}
    assert "12 rounds: Anna: 12, Bert: 0, ties: 0." in html and "that is a preference" in html
    left, _right = ask(view)
    view.parts["tie"].click()
    assert "13 rounds: Anna: 12, Bert: 0, ties: 1." in view.parts["output"].value
    assert "You chose neither" in view.parts["output"].value


def test_one_who_always_goes_left_is_told():
    view = labkit.widgets.arena({"Anna": says("small"), "Bert": says("large")}, seed=5)
    for _ in range(8):
        ask(view)
        view.parts["left"].click()
    assert "you may prefer the left side" in view.parts["output"].value


def test_both_get_the_prompt_and_text_stays_text():
    seen = []

    def reply(messages, stop):
        seen.append(messages)
        yield "<b>bold</b>"

    view = labkit.widgets.arena({"<i>A</i>": reply, "B": reply}, "first")
    view.parts["prompt"].value = "  <u>second</u> "
    left, right = ask(view)
    assert seen == [[{"role": "user", "content": "<u>second</u>"}]] * 2
    view.parts["tie"].click()
    assert not re.search("<b>bold|<i>A", left + right + view.parts["output"].value)


def test_stop_ends_the_round_and_it_does_not_count():
    def endless(messages, stop):
        while not stop.is_set():
            yield "again "
            time.sleep(0.01)

    view = labkit.widgets.arena({"A": endless, "B": says("never asked")})
    view.parts["ask"].click()
    view.parts["ask"].click()  # a second press while it runs asks nothing
    deadline = time.monotonic() + 20
    while "again" not in view.parts["output_left"].value + view.parts["output_right"].value:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    view.parts["left"].click()  # no vote before both have answered
    assert not view.parts["stop"].disabled and voting(view) == [False] * 3
    view.parts["stop"].click()
    settle(view)
    assert "This round was stopped and does not count." in view.parts["output"].value
    assert voting(view) == [False] * 3 and view.parts["stop"].disabled
    for thread in [thread for thread in threading.enumerate() if thread.name == "labkit-widget"]:
        thread.join(timeout=5)
        assert not thread.is_alive()


@pytest.mark.parametrize("error", [LabError("The model went home."), ValueError("<b>no</b>")])
def test_a_failure_is_said_and_the_next_round_works(error):
    failing = [True]

    def reply(messages, stop):
        if failing[0]:
            raise error
        yield "fine"

    view = labkit.widgets.arena({"A": reply, "B": reply})
    left, right = ask(view)
    assert "That did not work." in left + right and "<b>no</b>" not in left + right
    assert "was not finished and does not count" in view.parts["output"].value and voting(view) == [False] * 3
    failing[0] = False
    assert all("fine" in side for side in ask(view)) and voting(view) == [True] * 3


def test_an_empty_prompt_asks_nobody_and_two_are_needed():
    view = labkit.widgets.arena({"A": lambda *_, **__: pytest.fail("asked"), "B": says("b")}, " ")
    view.parts["ask"].click()
    assert "The prompt is empty" in view.parts["output"].value and not view.parts["ask"].disabled
    with pytest.raises(LabError, match="two contestants, and this has 1"):
        labkit.widgets.arena({"A": says("a")})
    assert repr(view) == "<Blind arena: run this cell to use it>"


def test_the_real_model_answers_on_both_sides(pair):
    model, tokenizer = pair
    greedy = functools.partial(local.stream, model=model, tokenizer=tokenizer, max_new_tokens=12)
    view = labkit.widgets.arena({"greedy": greedy, "warm": functools.partial(greedy, temperature=1.0, seed=1)})
    view.parts["prompt"].value = "What is the capital of France?"
    left, right = ask(view)
    assert "The capital of France is Paris." in left + right and voting(view) == [True] * 3
