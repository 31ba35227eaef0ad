"""The break-even calculator: four ways to get answers, what each costs a month, and where the lines cross."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import ipywidgets

from labkit.facts import budget, pricing
from labkit.lessons.widgets import base

_LABELS = {
    "requests_per_month": "Requests a month",
    "input_tokens_per_request": "Tokens in, a request",
    "output_tokens_per_request": "Tokens out, a request",
    "thinking_tokens_per_request": "Thinking tokens, a request",
    "cached_share": "Share of tokens in from a cache",
    "batch": "Answers may come a day later",
    "closed": "Closed model",
    "hosted": "Hosted open model",
    "gpu_prefill_tokens_per_s": "Rented GPU reads (tokens/s)",
    "gpu_single_tokens_per_s": "Rented GPU writes for one (tokens/s)",
    "gpu_batched_tokens_per_s": "Rented GPU writes for all (tokens/s)",
    "gpu_usd_per_hour": "Rented GPU (USD an hour)",
    "own_prefill_tokens_per_s": "Own machine reads (tokens/s)",
    "own_single_tokens_per_s": "Own machine writes for one (tokens/s)",
    "own_batched_tokens_per_s": "Own machine writes for all (tokens/s)",
    "machine_usd": "Own machine (USD)",
    "machine_lifetime_months": "Own machine lasts (months)",
    "machine_watts": "Own machine at work (watts)",
    "electricity_usd_per_kwh": "Electricity (USD a kWh)",
    "busy_share": "Share of the month at work",
    "hands_on_hours_per_machine": "Your hours a month, a machine",
    "usd_per_hands_on_hour": "Your hour (USD)",
}
_STEPS = "Machines come in whole numbers: just after each further one the order may turn back for a while."
_PLOT = "padding:0 20px 0 8px"


def break_even(assumptions: budget.Assumptions | None = None) -> base.View:
    """A field for every assumption; the same numbers as `labkit.budget.month(assumptions)`."""
    start = assumptions or budget.Assumptions()
    controls = {field.name: _control(field.name, getattr(start, field.name)) for field in fields(start)}
    output = base.panel()
    update = base.refresh(output, lambda: _render(_read(controls)))
    for control in controls.values():
        control.observe(update, "value")
    update()
    # What is moved most stands above the result, the rest below it: both stay in sight.
    first = ("requests_per_month", "closed", "hosted")
    above = [controls[name] for name in first]
    below = [control for name, control in controls.items() if name not in first]
    return base.View("Break-even calculator", [*above, output, *below], output=output, **controls)


def _control(name: str, value: Any) -> Any:
    if name == "requests_per_month":
        value = max(10.0, value)
        options = {"min": 1, "max": max(8.0, math.log10(value)), "step": 0.1, "readout_format": ",.0f"}
        return base.control(ipywidgets.FloatLogSlider, _LABELS[name], value, **options)
    if isinstance(value, tuple):
        known = [one.name for one in pricing.offers(name)]
        options = [(_said(offer), offer) for offer in dict.fromkeys([value, *known])]
        return base.control(ipywidgets.Dropdown, _LABELS[name], value, options=options)
    if isinstance(value, bool):
        return base.control(ipywidgets.Checkbox, _LABELS[name], value)
    return base.control(ipywidgets.FloatText, _LABELS[name], float(value))


def _said(offer: tuple[str, str]) -> str:
    """The name of an offer, and the day from which nobody can buy it, where that has passed."""
    ended = {one.name: f", until {one.until}" for one in pricing.history()}
    return f"{offer[1]} ({offer[0]}{ended.get(offer, '')})"


def _read(controls: dict[str, Any]) -> budget.Assumptions:
    read = {name: control.value for name, control in controls.items()}
    values = {name: int(value) if name.endswith("_tokens_per_request") else value for name, value in read.items()}
    return replace(budget.Assumptions(), **values)


def _render(given: budget.Assumptions) -> str:
    bills = budget.month(given)
    costs = {way: bill.usd for way, bill in bills.items()}
    cheapest, decades = min(costs, key=costs.get), max(1, math.ceil(math.log10(max(1, *costs.values()))))
    lines = "".join(_bar(way, usd, decades, way == cheapest) for way, usd in costs.items()) + _axis(decades)
    head = f"<p><b>{given.requests_per_month:,.0f} requests a month</b>, prices of {pricing.AS_OF:%Y-%m-%d}</p>"
    need = "".join(f"<li>{_need(given, way, bills[way])}</li>" for way in budget.MACHINES)
    bars = f'<table style="width:100%;border-collapse:collapse;{base.TEXT}">{lines}</table>'
    return base.block(f"{head}{bars}<ul>{need}{_crossings(given)}</ul><p>{_STEPS}</p>")


def _need(given: budget.Assumptions, way: str, bill: budget.Bill) -> str:
    count = f"{bill.machines:,} machine{'s' if bill.machines > 1 else ''}"
    wait = f"one user alone waits {budget.seconds_per_answer(given, way):.1f} s for an answer"
    return f"{base.escape(way)}: {count}, {bill.hands_on_hours:,.0f} hours of your time; {wait}"


def _bar(way: str, usd: float, decades: int, cheapest: bool) -> str:
    width = 100 * math.log10(max(1, usd)) / decades
    bar = f'<div style="height:14px;width:{width:.2f}%;background:rgba(66,133,244,.75);border-radius:2px"></div>'
    said = f"{usd:,.0f} USD" if usd >= 100 else f"{usd:,.2f} USD"
    said += " <b>cheapest</b>" if cheapest else ""
    name = f'<td style="width:24%;text-align:right;white-space:nowrap">{base.escape(way)}</td>'
    row = f'{name}<td style="{_PLOT}">{bar}</td><td style="width:30%;white-space:nowrap">{said}</td>'
    return f"<tr>{row}</tr>"


def _axis(decades: int) -> str:
    """The scale below the bars: from 1 USD, each mark ten times the one before."""
    marks = "".join(_mark(power, 100 * power / decades) for power in range(decades + 1))
    scale = f'<div style="position:relative;height:1.4em;font-size:.8em;{base.FAINT}">{marks}</div>'
    return f'<tr><td></td><td style="{_PLOT}">{scale}</td><td style="{base.FAINT}">USD, log scale</td></tr>'


def _mark(power: int, left: float) -> str:
    group = min(power // 3, 4)
    said = f"{10 ** (power - 3 * group)}{('', 'k', 'M', 'B', 'T')[group]}"
    return f'<span style="position:absolute;left:{left:.2f}%;transform:translateX(-50%)">{said}</span>'


def _crossings(given: budget.Assumptions) -> str:
    said = []
    for way in budget.MACHINES:
        for service in budget.SERVICES:
            volume = budget.break_even(given, service, way)
            machine, other = base.escape(way), base.escape(service)
            if volume is None:
                said.append(f"<li>{machine} never costs as little as the {other}: {_floor(given, way)}</li>")
            else:
                when = "at any volume" if volume == 1 else f"from {volume:,.0f} requests a month"
                said.append(f"<li>{machine} costs no more than the {other} {when}</li>")
    return "".join(said)


def _floor(given: budget.Assumptions, way: str) -> str:
    usd = 1000 * budget.full_machine_usd(given, way)
    return f"even a full machine costs {usd:,.2f} USD for 1,000 requests"
