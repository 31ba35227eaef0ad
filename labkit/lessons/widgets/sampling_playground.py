"""The sampling playground: how temperature, top-k, top-p and min-p change what may come next."""

from __future__ import annotations

from typing import Any

import ipywidgets

from labkit.lessons.widgets import base
from labkit.models import sampling

_SHOWN = 12
_MOST = 500  # tokens of a prompt


def sampling_playground(model: Any, tokenizer: Any, prompt: str = "The capital of France is") -> base.View:
    """Bars of the most likely next tokens; the same table as `labkit.sampling.next_tokens(model, tokenizer, prompt)`.

    The model runs once for each prompt. The sliders only repeat the arithmetic, so they answer at once.
    """
    entry = base.control(ipywidgets.Text, "Prompt (press Enter)", prompt, continuous_update=False)
    sliders = {
        "temperature": _slider("Temperature", 1.0, 0.0, 2.0, 0.05),
        "top_k": base.control(ipywidgets.IntSlider, "Top-k (0: off)", 0, min=0, max=100),
        "top_p": _slider("Top-p (1: off)", 1.0, 0.05, 1.0, 0.01),
        "min_p": _slider("Min-p (0: off)", 0.0, 0.0, 0.5, 0.01),
    }
    output = base.panel()
    known: dict[str, Any] = {}

    def render() -> str:
        if known.get("prompt") != entry.value:
            base.require_short(entry.value, tokenizer, _MOST)
            base.working(output)
            known.update(prompt=entry.value, logits=sampling.next_logits(model, tokenizer, entry.value))
        return _render(known["logits"], tokenizer, _settings(sliders))

    update = base.refresh(output, render)
    for control in (entry, *sliders.values()):
        control.observe(update, "value")
    update()
    grid = ipywidgets.VBox([entry, *sliders.values()])
    return base.View("Sampling playground", [grid, output], prompt=entry, output=output, **sliders)


def _slider(label: str, value: float, lowest: float, highest: float, step: float) -> Any:
    return base.control(ipywidgets.FloatSlider, label, value, min=lowest, max=highest, step=step, readout_format=".2f")


def _settings(sliders: dict[str, Any]) -> dict[str, Any]:
    """The sliders' values as arguments of `labkit.sampling.probabilities`; a rule that is off is left out."""
    settings: dict[str, Any] = {"temperature": sliders["temperature"].value}
    off = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}
    return settings | {name: sliders[name].value for name, value in off.items() if sliders[name].value != value}


def _render(logits: Any, tokenizer: Any, settings: dict[str, Any]) -> str:
    rows = sampling.ranked(logits, tokenizer, n=_SHOWN, **settings)
    kept = int((sampling.probabilities(logits, **settings) > 0).sum())
    largest = max(float(rows["drawn"].max()), 1e-9)
    lines = "".join(_bar(row.token, row.drawn, largest) for row in rows.itertuples())
    call = ", ".join(f"{name}={value:g}" for name, value in settings.items())
    head = f'<p><b>{kept:,} of {len(logits):,} tokens can be drawn</b> with <span style="{base.MONO}">{call}</span></p>'
    return base.block(f'{head}<table style="width:100%;border-collapse:collapse;{base.TEXT}">{lines}</table>')


def _bar(token: str, drawn: float, largest: float) -> str:
    width = 100 * drawn / largest
    bar = f'<div style="height:14px;width:{width:.1f}%;background:rgba(66,133,244,.75);border-radius:2px"></div>'
    number = f"{drawn:.1%}" if drawn else "cut"
    faint = "" if drawn else base.FAINT
    name = f'<td style="width:22%;text-align:right;{base.MONO}">{base.escape(token, visible_spaces=True)}</td>'
    cells = f'{name}<td style="padding:0 8px">{bar}</td><td style="width:12%">{number}</td>'
    return f'<tr style="padding:1px 6px;{faint}">{cells}</tr>'
