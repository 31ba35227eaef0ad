"""The licence explorer: what a licence says about one use, with the clause, the source and the date."""

from __future__ import annotations

import ipywidgets

from labkit.facts import catalogue, licences
from labkit.lessons.widgets import base

# A sign and a word beside each colour: colour is never the only signal.
_LOOKS = {
    "allowed": ("\u2713", "rgba(15,157,88,.22)"),
    "conditional": ("\u26a0", "rgba(251,140,0,.22)"),
    "no": ("\u2717", "rgba(217,48,37,.22)"),
    "unclear": ("?", "rgba(128,128,128,.22)"),
}


def licence_explorer(licence: str = "llama2", use: str = "commercial_product") -> base.View:
    """The answer of `labkit.licences.explain(licence, use)` for any licence, or any model of the catalogue, and use.

    `licence` is a licence's id or a model's name. LabError with the nearest when there is no such licence or use.
    """
    choices = _choices()
    start = licence if licence in choices.values() else licences.get(licence).id
    licences.explain(_licence_of(start), use)
    questions = [(question, name) for name, question in licences.USES.items()]
    which = base.control(
        ipywidgets.Dropdown, "Licence, or a model and its licence", start, options=list(choices.items())
    )
    what = base.control(ipywidgets.Dropdown, "May I ...", use, options=questions)
    output = base.panel()
    update = base.refresh(output, lambda: _render(_licence_of(which.value), what.value))
    for control in (which, what):
        control.observe(update, "value")
    update()
    return base.View("Licence explorer", [which, what, output], licence=which, use=what, output=output)


def _choices() -> dict[str, str]:
    """What the list shows, and what it stands for: a licence's id, or a model's name."""
    shown = {licences.get(name).title: name for name in licences.ids()}
    return shown | {f"Model {entry.title} ({entry.licence})": entry.name for entry in catalogue.all()}


def _licence_of(chosen: str) -> str:
    return chosen if chosen in licences.ids() else catalogue.get(chosen).licence


def _render(licence_id: str, use: str) -> str:
    """`licences.explain` line by line: its answer in a coloured box, its source as a link."""
    fact = licences.get(licence_id).uses[use]
    title, answer, *rest = licences.explain(licence_id, use).splitlines()
    sign, tint = _LOOKS[fact.value]
    box = f"background:{tint};padding:4px 10px;margin:4px 0;border-radius:2px"
    head = f'<b>{base.escape(title)}</b><p style="{box}"><b>{sign} {base.escape(answer)}</b></p>'
    address = base.escape(fact.source)
    link = f'<a href="{address}" target="_blank" rel="noopener">{address}</a>'
    lines = "".join(f"<p>{base.escape(line).replace(address, link)}</p>" for line in rest)
    call = f'labkit.licences.explain("{licence_id}", "{use}")'
    inner = f'{head}{lines}<p style="{base.MONO};{base.FAINT}">{base.escape(call)}</p>'
    return base.block(inner, "overflow-wrap:anywhere")  # addresses are long and have no spaces
