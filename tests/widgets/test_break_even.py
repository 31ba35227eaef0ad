"""The break-even calculator without a browser: its fields set, its HTML read."""

import re
from dataclasses import replace

import labkit.widgets
from labkit import pricing


def shown(view) -> list[str]:
    return re.findall(r">([\d,]+) USD", view.parts["output"].value)


def test_it_shows_what_the_function_says():
    view = labkit.widgets.break_even()
    costs = pricing.monthly_usd(pricing.Assumptions())
    assert shown(view) == [f"{usd:,.0f}" for usd in costs.values()]
    volume = pricing.break_even_requests_per_month(pricing.Assumptions(), "closed API", "own machine")
    assert f"own machine costs no more than the closed API from {volume:,.0f} requests" in view.parts["output"].value
    assert view.parts["output"].value.count("<b>cheapest</b>") == 1


def test_every_assumption_has_a_field_that_counts():
    view = labkit.widgets.break_even(replace(pricing.Assumptions(), requests_per_month=1e6))
    for name in pricing.Assumptions.__dataclass_fields__:
        control, before = view.parts[name], view.parts["output"].value
        old = control.value
        control.value = control.options[1][1] if hasattr(control, "options") else old / 20
        assert view.parts["output"].value != before, name
        control.value = old


def test_nonsense_is_said_in_words():
    view = labkit.widgets.break_even()
    view.parts["own_decode_tokens_per_s"].value = 0
    assert "own_decode_tokens_per_s cannot be 0" in view.parts["output"].value
    view.parts["own_decode_tokens_per_s"].value = 100
    assert "cheapest" in view.parts["output"].value
