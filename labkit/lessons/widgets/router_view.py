"""The router view: which experts of a mixture each token is sent to, layer by layer."""

from __future__ import annotations

from typing import Any

import ipywidgets

from labkit.lessons.widgets import base
from labkit.models import families

_MOST = 200  # tokens; more would make the model and the page slow


def router_view(mixtral: Any, tokenizer: Any, text: str = "The lighthouse keeper counted 12 ships.") -> base.View:
    """Each token with its experts; the same facts as `labkit.families.router_choices(mixtral, tokenizer, text)`.

    The model runs once for each text. The slider only shows another layer of that run.
    """
    entry = base.control(ipywidgets.Text, "Text (press Enter)", text, continuous_update=False)
    layer = base.control(ipywidgets.IntSlider, "Layer", 0, min=0, max=len(mixtral.model.layers) - 1)
    output = base.panel()
    known: dict[str, Any] = {}

    def render() -> str:
        if known.get("text") != entry.value:
            base.require_short(entry.value, tokenizer, _MOST)
            base.working(output)
            known.update(text=entry.value, table=families.router_choices(mixtral, tokenizer, entry.value))
        return _render(known["table"], layer.value, mixtral.config.num_local_experts)

    update = base.refresh(output, render)
    entry.observe(update, "value")
    layer.observe(update, "value")
    update()
    return base.View("Router view", [entry, layer, output], text=entry, layer=layer, output=output)


def _render(table: Any, layer: int, experts: int) -> str:
    rows = table[table.layer == layer]
    chips = "".join(_chip(row) for row in rows.itertuples())
    counts = {number: sum(number in chosen for chosen in rows.experts) for number in range(experts)}
    load = ", ".join(f"expert {number}: {count}" for number, count in counts.items())
    return base.block(f"<p><b>Layer {layer}</b>, tokens sent to each expert: {load}</p><div>{chips}</div>")


def _chip(row: Any) -> str:
    first = row.experts[0]
    style = (
        f"display:inline-block;margin:2px;padding:2px 6px;border-radius:4px;text-align:center;{base.MONO};"
        f"background:{base.TINTS[first % len(base.TINTS)]};border:1px solid rgba(128,128,128,.5)"
    )
    pairs = zip(row.experts, row.shares, strict=True)
    small = "<br>".join(f"{expert}: {share:.0%}" for expert, share in pairs)
    return (
        f'<span style="{style}">{base.escape(row.token, visible_spaces=True)}'
        f'<br><span style="font-size:75%;{base.FAINT}">{small}</span></span>'
    )
