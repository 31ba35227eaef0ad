"""The Hub search: from a question to a shortlist, with a bar of memory for each model."""

from __future__ import annotations

import ipywidgets
import pandas

from labkit.base import machine
from labkit.base.errors import LabError
from labkit.facts import memory, planning
from labkit.lessons.widgets import base
from labkit.world import hub_client

_LICENCES = {
    "any": "",
    "Apache-2.0": "apache-2.0",
    "MIT": "mit",
    "Llama 2": "llama2",
    "Llama 3.2": "llama3.2",
    "Gemma": "gemma",
}
_DTYPES = {"32 bits (fp32)": "fp32", "16 bits (bf16)": "bf16", "8 bits (int8)": "int8", "4 bits (int4)": "int4"}
_SHOWN = 10


def hub_search(text: str = "", *, free_gb: float | None = None) -> base.View:
    """Fields for what a model must be, and bars of what fits; the same table as `labkit.hub.search(text, ...)`.

    `free_gb` is what may be used, in GB: what is free on this machine unless given. A changed field asks the
    Hub once; another precision, or another amount of memory, only redraws the bars.
    """
    if free_gb is None:
        free_gb = round(planning.free_bytes(machine.detect()) / 1e9, 1)
    controls = {
        "text": base.control(ipywidgets.Text, "Name contains (press Enter)", text, continuous_update=False),
        "licence": base.control(ipywidgets.Dropdown, "Licence", "", options=list(_LICENCES.items())),
        "billions": base.control(ipywidgets.BoundedFloatText, "At most (billion parameters)", 8.0, min=0.1, max=2000),
        "chat": base.control(ipywidgets.Checkbox, "Tuned to converse", True),
        "free": base.control(ipywidgets.Checkbox, "Needs no permission (not gated)", False),
        "dtype": base.control(ipywidgets.Dropdown, "Precision", "bf16", options=list(_DTYPES.items())),
        "free_gb": base.control(ipywidgets.BoundedFloatText, "Free memory (GB)", free_gb, min=0.1, max=10_000),
    }
    output, found = base.panel(), {}

    def ask() -> str:
        base.working(output)
        found["table"] = hub_client.search(
            controls["text"].value.strip(),
            licence=controls["licence"].value or None,
            billions=(0, controls["billions"].value),
            chat=controls["chat"].value,
            gated=False if controls["free"].value else None,
        )
        return draw()

    def draw() -> str:
        if "table" not in found:
            raise LabError("The Hub has not answered yet: change a field, or run the set-up cell and this one again.")
        return _render(found["table"], controls["dtype"].value, controls["free_gb"].value)

    for name, action in controls.items():
        action.observe(base.refresh(output, draw if name in ("dtype", "free_gb") else ask), "value")
    base.refresh(output, ask)()
    return base.View("Hub search", [*controls.values(), output], output=output, **controls)


def _render(table: pandas.DataFrame, dtype: str, free_gb: float) -> str:
    if table.empty:
        return base.block("<p>No model is like that: ask for less.</p>")
    table = table.assign(gb=[_gigabytes(count, dtype) for count in table.parameters])
    fitting = int((table.gb <= free_gb).sum())
    head = f"<p><b>{len(table)} models</b>, {fitting} of them with weights that fit {free_gb:g} GB</p>"
    rows = "".join(_line(row, free_gb) for row in table.head(_SHOWN).itertuples())
    more = f"<p>and {len(table) - _SHOWN} larger ones</p>" if len(table) > _SHOWN else ""
    note = f'<p style="font-size:85%;{base.FAINT}">A full bar is all of the free memory. A conversation takes more.</p>'
    return base.block(
        f'{head}<table style="width:100%;border-collapse:collapse;{base.TEXT}">{rows}</table>{more}{note}'
    )


def _gigabytes(parameters: float, dtype: str) -> float:
    """NaN stays NaN: a Hub does not know the size of every model."""
    return memory.weights_bytes(int(parameters), dtype) / 1e9 if parameters == parameters else parameters


def _line(row: object, free_gb: float) -> str:
    share = min(1.0, row.gb / free_gb) if row.gb == row.gb else 0.0
    fits = "fits" if row.gb <= free_gb else "too large"
    said = f"{row.gb:,.1f} GB: <b>{fits}</b>" if row.gb == row.gb else "size unknown"
    tint = base.TINTS[0 if row.gb <= free_gb else 1].replace(".22", ".75")
    bar = f'<div style="height:14px;width:{100 * share:.2f}%;background:{tint}"></div>'
    gate = ", gated" if row.gated else ""
    cells = f'<td style="width:50%;line-height:1.3;padding-bottom:4px">{base.escape(row.id)}<br>'
    cells += f'<span style="font-size:85%;{base.FAINT}">'
    cells += f"{base.escape(str(row.licence))}{gate}</span></td>"
    cells += f'<td style="padding:0 8px">{bar}</td><td style="width:24%;white-space:nowrap">{said}</td>'
    return f"<tr>{cells}</tr>"
