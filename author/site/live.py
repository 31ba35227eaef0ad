"""Widgets that work on a page without Python: what they show is computed when the page is built.

The real widget is moved through a few positions of each control, and each output is kept. A script of the page
(docs/site/_static/live.js) draws the same controls and looks the output up. A control that is not named here stays as
the lesson sets it. For widgets with endless outputs (a chat, a search, free text) the page shows the picture.
"""

from __future__ import annotations

import functools
import html
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ipywidgets

from labkit.facts import catalogue, licences
from labkit.lessons.widgets import base

Positions = Mapping[str, Sequence[Any]]
_MODELS = ("smollm2-135m-instruct", "llama-2-7b", "llama-2-13b", "llama-2-70b", "mistral-7b", "mixtral-8x7b")


def _memory_planner() -> tuple[base.View, Positions]:
    from labkit.lessons.widgets import memory_planner

    positions = {"model": _MODELS, "tokens": [2**power for power in (9, 11, 12, 13, 15)], "batch": [1, 8]}
    return memory_planner("mistral-7b", free_gb=16), positions | {"free_gb": [8, 16, 24, 80]}


def _licence_explorer() -> tuple[base.View, Positions]:
    from labkit.lessons.widgets import licence_explorer

    return licence_explorer(), {"licence": licences.ids(), "use": list(licences.USES)}


def _lora_explorer() -> tuple[base.View, Positions]:
    from labkit.lessons.widgets import lora_explorer

    view = lora_explorer()
    ranks = [1, 4, 8, 16, 64, 256]
    return view, {"model": _MODELS, "targets": view.parts["targets"].options, "rank": ranks, "merged": [False, True]}


def _break_even() -> tuple[base.View, Positions]:
    from labkit.lessons.widgets import break_even

    view = break_even()
    return view, {
        "requests_per_month": [10**power for power in range(1, 9)],
        "closed": [value for _, value in view.parts["closed"].options][:3],
        "hosted": [value for _, value in view.parts["hosted"].options][:3],
        "hands_on_hours_per_machine": [0, 4],
    }


def _token_explorer() -> tuple[base.View, Positions]:
    from labkit.lessons.widgets import token_explorer

    texts = [
        "Unbelievable! 2026 tokens cost 3.50 €",
        "internationalization",
        "Every child has the right to learn to read and write.",
        "Jedes Kind hat das Recht, lesen und schreiben zu lernen.",
        "हर बच्चे को पढ़ना और लिखना सीखने का अधिकार है।",
        "for i in range(10): print(i ** 2)",
        "Straße 🙂",
    ]
    return token_explorer(_model()[1], text=texts[0]), {"text": texts, "details": [False, True]}


def _sampling_playground() -> tuple[base.View, Positions]:
    from labkit.lessons.widgets import sampling_playground

    prompts = ["Once upon a time, there was a", "The capital of France is"]
    return sampling_playground(*_model(), prompt=prompts[0]), {
        "prompt": prompts,
        "temperature": [0.0, 0.5, 1.0, 1.5, 2.0],
        "top_k": [0, 5, 40],
        "top_p": [1.0, 0.9, 0.5],
        "min_p": [0.0, 0.1],
    }


def _quantization_explorer() -> tuple[base.View, Positions]:
    from labkit.lessons.widgets import quantization_explorer

    # The matrix of lesson 06.
    matrix = _model()[0].model.layers[10].mlp.down_proj.weight.detach()
    view = quantization_explorer(matrix[:256].clone())
    blocks = ["whole tensor", "row", "64", "32"]
    return view, {"bits": [2, 3, 4, 8], "block": blocks, "scheme": view.parts["scheme"].options}


# By the name that the widget's view carries, which is what a stored notebook shows.
ALIVE: dict[str, Callable[[], tuple[base.View, Positions]]] = {
    "Break-even calculator": _break_even,
    "Licence explorer": _licence_explorer,
    "LoRA explorer": _lora_explorer,
    "Memory planner": _memory_planner,
    "Quantization explorer": _quantization_explorer,
    "Sampling playground": _sampling_playground,
    "Token explorer": _token_explorer,
}


@functools.cache
def _model() -> tuple[Any, Any]:
    from labkit.models import local

    return local.load(catalogue.DEFAULT)


@functools.cache
def snapshots(title: str) -> dict[str, Any]:
    """All that the page needs of the widget `title`.

    `controls` are a label, a kind (range, select, checkbox), the words for its positions and the one to begin with;
    `shown` are the different outputs, and `which` says for each combination of positions, the last control running
    fastest, which of them it shows.
    """
    view, positions = ALIVE[title]()
    controls = [_control(view.parts[name], list(values)) for name, values in positions.items()]
    shown: dict[str, int] = {}
    which = [shown.setdefault(output, len(shown)) for output in _outputs(view, positions)]
    return {"controls": controls, "shown": list(shown), "which": which}


def _outputs(view: base.View, positions: Positions) -> Iterator[str]:
    for combination in itertools.product(*positions.values()):
        for name, value in zip(positions, combination, strict=True):
            view.parts[name].value = value
        yield view.parts["output"].value


def _control(part: ipywidgets.Widget, values: list[Any]) -> dict[str, Any]:
    """Begins where the lesson begins, which has to be one of the positions."""
    words = {value: str(label) for label, value in _options(part)}
    kind = "select"
    if isinstance(part, ipywidgets.Checkbox):
        kind = "checkbox"
    elif "Slider" in type(part).__name__:
        kind = "range"
    said = [words.get(value) or _said(value) for value in values]
    return {"label": part.description, "kind": kind, "positions": said, "start": values.index(part.value)}


def _said(value: Any) -> str:
    return f"{value:,g}" if isinstance(value, (int, float)) else str(value)


def _options(part: ipywidgets.Widget) -> list[tuple[str, Any]]:
    """(label, value) of a list's entries; none for other controls."""
    return [entry if isinstance(entry, tuple) else (entry, entry) for entry in getattr(part, "options", ())]


def place(title: str) -> str:
    """The HTML where the widget stands: what it shows first, for readers without scripts too, and its data."""
    found = snapshots(title)
    first = 0
    for control in found["controls"]:
        first = first * len(control["positions"]) + control["start"]
    shown = found["shown"][found["which"][first]]
    return (
        f'<div class="labkit-live" data-snapshots="{file_name(title)}" role="group" aria-label="{html.escape(title)}">'
        f'<div class="labkit-live-output">{shown}</div>'
        '<p class="labkit-live-note">Computed when this page was made, for the positions offered here. '
        "In the notebook every position works.</p></div>"
        f'<script src="../_static/live/{file_name(title)}.js"></script>'
    )


def write(title: str, folder: Path) -> None:
    """Store the data of the widget `title` as a script: a page opened from a disk may load that, and no JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    name, data = file_name(title), json.dumps(snapshots(title), ensure_ascii=False)
    text = f'(window.labkitSnapshots ||= {{}})["{name}"] = {data};\n'
    (folder / f"{name}.js").write_text(text, encoding="utf-8")


def file_name(title: str) -> str:
    """`Memory planner` -> `memory-planner`."""
    return title.lower().replace(" ", "-")
