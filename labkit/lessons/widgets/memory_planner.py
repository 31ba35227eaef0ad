"""The memory planner: does this model, in this precision, with this much text, fit this machine?"""

from __future__ import annotations

import ipywidgets

from labkit.base import machine
from labkit.facts import catalogue, planning
from labkit.lessons.widgets import base

_DTYPES = {"fp32": "32 bits (fp32)", "bf16": "16 bits (bf16)", "int8": "8 bits (int8)", "int4": "4 bits (int4)"}
_PARTS = {"weights_gb": "weights", "kv_cache_gb": "KV cache", "rest_gb": "the rest"}


def memory_planner(model: str = "mistral-7b", *, tokens: int = 4096, free_gb: float | None = None) -> base.View:
    """Bars of what a model needs in four precisions; the same table as `labkit.planning.table(model, tokens=, free=)`.

    `free_gb` is what may be used, in GB: what is free on this machine unless given. LabError for an unknown model.
    """
    model = catalogue.get(model).name
    if free_gb is None:
        free_gb = round(planning.free_bytes(machine.detect()) / 1e9, 1)
    exponent = max(7, min(17, (tokens - 1).bit_length()))
    controls = {
        "model": base.control(
            ipywidgets.Dropdown, "Model", model, options=[(entry.title, entry.name) for entry in catalogue.all()]
        ),
        "tokens": base.control(
            ipywidgets.SelectionSlider,
            "Tokens a conversation",
            2**exponent,
            options=[(f"{2**power:,}", 2**power) for power in range(7, 18)],
        ),
        "batch": base.control(ipywidgets.IntSlider, "Conversations at once", 1, min=1, max=64),
        "free_gb": base.control(ipywidgets.BoundedFloatText, "Free memory (GB)", free_gb, min=0.1, max=10_000),
    }
    output = base.panel()
    update = base.refresh(output, lambda: _render(**{name: control.value for name, control in controls.items()}))
    for control in controls.values():
        control.observe(update, "value")
    update()
    return base.View("Memory planner", [*controls.values(), output], output=output, **controls)


def _render(model: str, tokens: int, batch: int, free_gb: float) -> str:
    table = planning.table(model, tokens=tokens, batch=batch, free=free_gb * 1e9)
    entry, widest = catalogue.get(model), max(table.total_gb.max(), free_gb)
    lines = "".join(_line(_DTYPES[row.Index], row, widest) for row in table.itertuples())
    mark = f'<p style="font-size:85%;{base.FAINT}">blue: {_PARTS["weights_gb"]}, orange: {_PARTS["kv_cache_gb"]}, '
    mark += f"green: {_PARTS['rest_gb']} (libraries and working memory)</p>"
    head = f"<p><b>{base.escape(entry.title)}</b>, {entry.parameters:,} parameters, {free_gb:g} GB free</p>"
    over = ""
    if tokens > entry.context:
        over = f"<p>The model reads at most {entry.context:,} tokens: a conversation of {tokens:,} is cut.</p>"
    return base.block(
        f'{head}<table style="width:100%;border-collapse:collapse;{base.TEXT}">{lines}</table>{mark}{over}'
    )


def _line(name: str, row: object, widest: float) -> str:
    parts = "".join(
        f'<div title="{label}: {getattr(row, part):.1f} GB" style="display:inline-block;height:14px;'
        f'width:{100 * getattr(row, part) / widest:.2f}%;background:{tint.replace(".22", ".75")}"></div>'
        for (part, label), tint in zip(_PARTS.items(), base.TINTS, strict=True)
    )
    said = "fits" if row.fits else "does not fit"
    cells = f'<td style="width:20%;text-align:right">{name}</td>'
    cells += f'<td style="padding:0 8px;line-height:0;white-space:nowrap">{parts}</td>'
    cells += f'<td style="width:26%;white-space:nowrap">{row.total_gb:,.1f} GB: <b>{said}</b></td>'
    return f"<tr>{cells}</tr>"
