"""The break-even calculator without a browser: its fields set, its HTML read."""

import math
import re
from dataclasses import replace

import pytest

import labkit
from labkit.facts import budget, pricing


def shown(view) -> list[str]:
    return re.findall(r">([\d,.]+) USD", view.parts["output"].value)


def widths(view) -> list[float]:
    return [float(width) for width in re.findall(r"width:([\d.]+)%;background", view.parts["output"].value)]


def test_it_shows_what_the_function_says():
    view = labkit.widgets.break_even()
    costs = {way: bill.usd for way, bill in budget.month(budget.Assumptions()).items()}
    assert shown(view) == [f"{usd:,.0f}" if usd >= 100 else f"{usd:,.2f}" for usd in costs.values()]
    volume = budget.break_even(budget.Assumptions(), "closed API", "own machine")
    assert f"own machine costs no more than the closed API from {volume:,.0f} requests" in view.parts["output"].value
    assert view.parts["output"].value.count("<b>cheapest</b>") == 1


def test_every_assumption_has_a_field_that_counts():
    view = labkit.widgets.break_even(replace(budget.Assumptions(), requests_per_month=1e6))
    for name in budget.Assumptions.__dataclass_fields__:
        control, before = view.parts[name], view.parts["output"].value
        old = control.value
        tried = {"batch": True, "cached_share": 0.5, "thinking_tokens_per_request": 500}
        control.value = control.options[1][1] if hasattr(control, "options") else tried.get(name, old / 20)
        assert view.parts["output"].value != before, name
        control.value = old


def test_nonsense_is_said_in_words():
    view = labkit.widgets.break_even()
    view.parts["own_batched_tokens_per_s"].value = 0
    assert "own_batched_tokens_per_s cannot be 0" in view.parts["output"].value
    view.parts["own_batched_tokens_per_s"].value = 100
    assert "cheapest" in view.parts["output"].value


def test_the_bars_are_as_long_as_the_logarithms():
    view = labkit.widgets.break_even()
    costs = {way: bill.usd for way, bill in budget.month(budget.Assumptions()).items()}
    assert widths(view) == pytest.approx([25 * math.log10(usd) for usd in costs.values()], abs=0.01)
    marks = re.findall(r"left:([\d.]+)%[^>]*>(\w+)</span>", _html(view))
    assert marks == [("0.00", "1"), ("25.00", "10"), ("50.00", "100"), ("75.00", "1k"), ("100.00", "10k")]
    free = labkit.widgets.break_even(budget.Assumptions(requests_per_month=0, output_tokens_per_request=0))
    assert all(0 <= width <= 100 for width in widths(free))


def test_it_begins_where_it_is_told_to():
    view = labkit.widgets.break_even(budget.Assumptions(requests_per_month=2e9, closed=("openai", "gpt-4")))
    assert "2,000,000,000 requests a month" in _html(view) and view.parts["closed"].value == ("openai", "gpt-4")
    assert "12,345 requests a month" in _html(labkit.widgets.break_even(budget.Assumptions(requests_per_month=12_345)))


def test_a_way_that_is_always_cheaper_is_said_in_words():
    view = labkit.widgets.break_even(budget.Assumptions(gpu_usd_per_hour=0, hands_on_hours_per_machine=0))
    assert "rented GPU costs no more than the closed API at any volume" in _html(view)
    assert "own machine costs no more than the hosted open model from" in _html(view)


def test_a_service_without_a_price_is_said_in_words():
    view = labkit.widgets.break_even(budget.Assumptions(closed=("openai", "<b>gpt-99</b>")))
    assert "The price table has no" in _html(view) and "<b>gpt" not in _html(view)
    view.parts["closed"].value = ("openai", "gpt-6-luna")
    assert "cheapest" in _html(view)


def test_what_nobody_can_buy_is_not_offered_and_a_withdrawn_model_is_marked():
    offered = [name for kind in ("closed", "hosted") for _, name in labkit.widgets.break_even().parts[kind].options]
    assert not set(offered) & {one.name for one in pricing.history()} and ("openai", "gpt-6-astra") in offered
    old = labkit.widgets.break_even(budget.Assumptions(closed=("openai", "gpt-4")))
    assert old.parts["closed"].options[0] == ("gpt-4 (openai, until 2026-10-23)", ("openai", "gpt-4"))


def test_machines_hours_and_never_are_said():
    view = labkit.widgets.break_even(budget.Assumptions(requests_per_month=1e7, closed=("openai", "gpt-6-luna")))
    assert "own machine: 8 machines, 32 hours of your time; one user alone waits 5.9 s" in _html(view)
    assert "rented GPU never costs as little as the closed API: even a full machine costs 1.54 USD for" in _html(view)


def _html(view) -> str:
    return view.parts["output"].value
