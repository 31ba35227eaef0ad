"""The LoRA explorer: what a rank costs in a model, and how much of a real change of weights it can hold."""

from __future__ import annotations

import ipywidgets

from labkit.facts import catalogue, memory
from labkit.lessons.widgets import base
from labkit.models import finetuning

_TARGETS = {
    "queries and values": ("q_proj", "v_proj"),
    "attention": finetuning.ATTENTION,
    "all linear": finetuning.ALL_LINEAR,
}
_RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def lora_explorer(model: str = "mistral-7b", *, rank: int = 16, targets: str = "attention") -> base.View:
    """An adapter's size beside its model's; the same numbers as `labkit.finetuning.table(shape, [rank], targets)`.

    `model` is a catalogue name, `targets` one of "queries and values", "attention" and "all linear". The drawing shows
    one matrix of the model and, to scale, the two thin ones beside it; after a merge only the first is left.
    """
    titles = [(entry.title, entry.name) for entry in catalogue.all()]
    controls = {
        "model": base.control(ipywidgets.Dropdown, "Model", catalogue.get(model).name, options=titles),
        "targets": base.control(ipywidgets.Dropdown, "Matrices", targets, options=list(_TARGETS)),
        "rank": base.control(ipywidgets.SelectionSlider, "Rank", rank, options=list(_RANKS)),
        "merged": base.control(ipywidgets.Checkbox, "Merged into the weights", False),
    }
    output = base.panel()
    update = base.refresh(output, lambda: _render(**{name: control.value for name, control in controls.items()}))
    for control in controls.values():
        control.observe(update, "value")
    update()
    return base.View("LoRA explorer", [*controls.values(), output], output=output, **controls)


def _render(model: str, targets: str, rank: int, merged: bool) -> str:
    entry, names = catalogue.get(model), _TARGETS[targets]
    (row,) = finetuning.table(entry.shape, [rank], names).itertuples()
    whole = memory.parameter_count(entry.shape)
    head = f"<p><b>{base.escape(entry.title)}</b>, {whole:,} parameters</p>"
    if merged:
        said = f"<b>0 more</b>: the {row.trainable:,} trained numbers are in the weights, and answers cost no more time"
    else:
        said = (
            f"<b>{row.trainable:,} trained</b>, {row.share:.3%} of the model; {row.adapter_mb:,.1f} MB on disk (fp32), "
            f"{row.states_mb:,.1f} MB for gradients and AdamW"
        )
    call = f"labkit.finetuning.table(labkit.catalogue.get({entry.name!r}).shape, [{rank}], {names!r})"
    code = f'<p style="font-size:85%;{base.FAINT}"><span style="{base.MONO}">{base.escape(call)}</span></p>'
    return base.block(f"{head}<p>{said}.</p>{_picture(entry.shape, rank, merged)}{code}")


def _picture(shape: memory.Shape, rank: int, merged: bool) -> str:
    """The query matrix as a square of 120 pixels, and B and A beside it, as thin as they are."""
    rows, columns = shape.heads * shape.head_dim, shape.hidden
    scale = 120 / max(rows, columns)
    thin = max(1.0, rank * scale)
    name = "W + BA" if merged else "W"
    box = _box(0, 0, columns * scale, rows * scale, 0, f"{name}: {rows:,} × {columns:,}")
    if not merged:
        box += _box(160, 0, thin, rows * scale, 1, f"B: {rows:,} × {rank:,}")
        box += _box(300, 0, columns * scale, thin, 2, f"A: {rank:,} × {columns:,}")
    said = "one matrix, the change added to it" if merged else "a large frozen matrix and two thin trained ones"
    size = 'width="460" height="150" font-size="11" fill="currentColor"'
    return f'<svg role="img" aria-label="{said}" {size}>{box}</svg>'


def _box(left: float, top: float, width: float, height: float, tint: int, text: str) -> str:
    return (
        f'<rect x="{left + 1:.1f}" y="{top + 1:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="{base.TINTS[tint]}" stroke="currentColor"/><text x="{left:.0f}" y="144">{text}</text>'
    )
