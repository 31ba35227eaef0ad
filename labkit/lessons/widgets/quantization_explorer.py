"""The quantization explorer: bits and block size against error, and what the weights become."""

from __future__ import annotations

from typing import Any

import ipywidgets

from labkit.base.errors import LabError
from labkit.lessons.widgets import base
from labkit.models import quantization

_BLOCKS = {"whole tensor": None, "row": "channel", "256": 256, "128": 128, "64": 64, "32": 32, "16": 16}
_BINS = 48
_MOST = 4_000_000  # more would take seconds for each move of a control


def quantization_explorer(weights: Any, *, bits: int = 4, block: int | str | None = 64) -> base.View:
    """Histograms of `weights` before and after, with error and cost; the same numbers as `labkit.quantization.absmax`.

    `weights` is a matrix, such as a linear layer's. LabError for more than four million numbers: take some rows.
    """
    if weights.numel() > _MOST:
        raise LabError(f"These are {weights.numel():,} weights, too many for a widget: take some rows, weights[:256].")
    names = {value: name for name, value in _BLOCKS.items()}
    controls = {
        "bits": base.control(ipywidgets.IntSlider, "Bits", bits, min=2, max=8),
        "block": base.control(
            ipywidgets.SelectionSlider, "Weights that share a scale", names.get(block, "64"), options=list(_BLOCKS)
        ),
        "scheme": base.control(ipywidgets.Dropdown, "Codes", "absmax", options=["absmax", "zero-point", "NF4"]),
    }
    output = base.panel()
    update = base.refresh(output, lambda: _render(weights, **{name: part.value for name, part in controls.items()}))
    for control in controls.values():
        control.observe(update, "value")
    update()
    return base.View("Quantization explorer", [*controls.values(), output], output=output, **controls)


def _render(weights: Any, bits: int, block: str, scheme: str) -> str:
    share = _BLOCKS[block]
    if scheme == "NF4":
        quantized, call = quantization.nf4(weights, share), f"nf4(weights, {share!r})"
    else:
        function = quantization.absmax if scheme == "absmax" else quantization.zero_point
        quantized, call = function(weights, bits, share), f"{function.__name__}(weights, {bits}, {share!r})"
    restored = quantized.dequantize()
    error = quantization.relative_error(weights, restored)
    distinct = len(restored.unique())
    said = f"<p><b>{error:.2%} error</b> (relative), {quantized.bits_per_weight:.2f} bits a weight, "
    said += f'{distinct:,} different values, with <span style="{base.MONO}">{base.escape(call)}</span></p>'
    if scheme == "NF4" and bits != 4:
        said += "<p>NF4 has 4 bits: the slider for bits does not count.</p>"
    reach = float(weights.abs().max()) or 1.0
    pictures = _histogram("before", weights, reach, 0) + _histogram("after", restored, reach, 1)
    scale = f'<p style="font-size:85%;{base.FAINT}">weights from {-reach:.3g} to {reach:.3g}; a bar\'s height is the '
    return base.block(said + pictures + scale + "share of weights in its place, on a square-root scale</p>")


def _histogram(title: str, values: Any, reach: float, tint: int) -> str:
    """A histogram of the weights; its label says how many bins are empty, for readers who cannot see it."""
    counts = values.detach().float().flatten().histc(_BINS, -reach, reach).sqrt()
    tallest = float(counts.max()) or 1.0
    colour = base.TINTS[tint].replace(".22", ".75")
    bars = "".join(
        f'<div style="flex:1;margin-right:1px;height:{100 * count / tallest:.1f}%;background:{colour}"></div>'
        for count in counts.tolist()
    )
    empty = int((counts == 0).sum())
    label = f"{title}: {_BINS - empty} of {_BINS} places hold weights"
    box = "display:flex;align-items:flex-end;height:80px;border-bottom:1px solid currentColor"
    return f'<div>{label}</div><div role="img" aria-label="{label}" style="{box}">{bars}</div>'
