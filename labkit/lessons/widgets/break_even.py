"""The break-even calculator: four ways to get answers, what each costs a month, and where the lines cross."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import ipywidgets

from labkit.facts import pricing
from labkit.lessons.widgets import base

_LABELS = {
    "requests_per_month": "Requests a month",
    "input_tokens_per_request": "Tokens in, a request",
    "output_tokens_per_request": "Tokens out, a request",
    "closed": "Closed model",
    "hosted": "Hosted open model",
    "gpu_prefill_tokens_per_s": "Rented GPU reads (tokens/s)",
    "gpu_decode_tokens_per_s": "Rented GPU writes (tokens/s)",
    "gpu_usd_per_hour": "Rented GPU (USD an hour)",
    "own_prefill_tokens_per_s": "Own machine reads (tokens/s)",
    "own_decode_tokens_per_s": "Own machine writes (tokens/s)",
    "machine_usd": "Own machine (USD)",
    "machine_lifetime_months": "Own machine lasts (months)",
    "machine_watts": "Own machine at work (watts)",
    "electricity_usd_per_kwh": "Electricity (USD a kWh)",
    "busy_share": "Share of the month at work",
    "hands_on_hours_per_month": "Your hours a month",
    "usd_per_hands_on_hour": "Your hour (USD)",
}
_PLOT = "padding:0 20px 0 8px"


def break_even(assumptions: pricing.Assumptions | None = None) -> base.View:
    """A field for every assumption; the same numbers as `labkit.pricing.monthly_usd(assumptions)`."""
    start = assumptions or pricing.Assumptions()
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
        closed, hosted = pricing.CLOSED + pricing.MORE_CLOSED, pricing.HOSTED + pricing.MORE_HOSTED
        known = closed if name == "closed" else hosted
        options = [(f"{model} ({provider})", (provider, model)) for provider, model in dict.fromkeys([value, *known])]
        return base.control(ipywidgets.Dropdown, _LABELS[name], value, options=options)
    return base.control(ipywidgets.FloatText, _LABELS[name], float(value))


def _read(controls: dict[str, Any]) -> pricing.Assumptions:
    whole = ("input_tokens_per_request", "output_tokens_per_request")
    values = {name: int(control.value) if name in whole else control.value for name, control in controls.items()}
    return replace(pricing.Assumptions(), **values)


def _render(given: pricing.Assumptions) -> str:
    costs = pricing.monthly_usd(given)
    cheapest, decades = min(costs, key=costs.get), max(1, math.ceil(math.log10(max(1, *costs.values()))))
    lines = "".join(_bar(way, usd, decades, way == cheapest) for way, usd in costs.items()) + _axis(decades)
    head = f"<p><b>{given.requests_per_month:,.0f} requests a month</b>, prices of {pricing.AS_OF:%Y-%m-%d}</p>"
    machines = {kind: pricing.machines_needed(given, kind) for kind in ("gpu", "own")}
    need = f"<p>That takes {machines['gpu']:,} rented GPU(s) or {machines['own']:,} machine(s) of your own.</p>"
    bars = f'<table style="width:100%;border-collapse:collapse;{base.TEXT}">{lines}</table>'
    return base.block(head + bars + need + _crossings(given))


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


def _crossings(given: pricing.Assumptions) -> str:
    said = []
    for way in ("rented GPU", "own machine"):
        for service in ("closed API", "hosted open model"):
            volume = pricing.break_even_requests_per_month(given, service, way)
            when = (
                f"from {volume:,.0f} requests a month"
                if volume
                else "at no volume up to a billion requests or 10,000 machines"
            )
            when = "at any volume" if volume == 1 else when
            said.append(f"<li>{base.escape(way)} costs no more than the {base.escape(service)} {when}</li>")
    steps = "Machines come in whole numbers: just after each further one the order may turn back for a while."
    return f"<ul>{''.join(said)}</ul><p>{steps}</p>"
