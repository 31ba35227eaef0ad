"""The LoRA explorer without a browser: every control moved, its HTML read."""

from __future__ import annotations

import html
import re

import pytest

import labkit
from labkit.base.errors import LabError
from labkit.facts import catalogue
from labkit.models import finetuning


def test_it_shows_what_the_function_says():
    view = labkit.widgets.lora_explorer("smollm2-135m-instruct", rank=8)
    shape = catalogue.get("smollm2-135m-instruct").shape
    for rank in (1, 8, 256):
        view.parts["rank"].value = rank
        (row,) = finetuning.table(shape, [rank]).itertuples()
        shown = view.parts["output"].value
        assert f"{row.trainable:,} trained" in shown and f"{row.share:.3%}" in shown
        assert f"{row.adapter_mb:,.1f} MB on disk" in shown
        assert f"[{rank}]" in html.unescape(shown)
    view.parts["targets"].value = "all linear"
    assert f"{finetuning.parameters(shape, 256, finetuning.ALL_LINEAR):,}" in view.parts["output"].value


def boxes(shown: str) -> list[tuple[float, float]]:
    return [(float(w), float(h)) for w, h in re.findall(r'width="([\d.]+)" height="([\d.]+)" fill', shown)]


def test_the_drawing_is_to_scale_and_a_merge_leaves_one_matrix():
    view = labkit.widgets.lora_explorer("llama-2-7b", rank=256)
    whole, b, a = boxes(view.parts["output"].value)
    assert whole == (120, 120) and b == (120 * 256 / 4096, 120) and a == (120, 120 * 256 / 4096)
    view.parts["merged"].value = True
    shown = view.parts["output"].value
    assert boxes(shown) == [(120, 120)] and "0 more" in shown and "W + BA" in shown


def test_every_model_has_one():
    view = labkit.widgets.lora_explorer()
    for entry in catalogue.all():
        view.parts["model"].value = entry.name
        assert html.escape(entry.title) in view.parts["output"].value
        assert "That did not work" not in view.parts["output"].value
        assert all(0 < w <= 121 and 0 < h <= 121 for w, h in boxes(view.parts["output"].value))


def test_its_name_stands_where_widgets_cannot_live_and_a_wrong_model_is_told():
    assert repr(labkit.widgets.lora_explorer()) == "<LoRA explorer: run this cell to use it>"
    with pytest.raises(LabError, match="There is no model"):
        labkit.widgets.lora_explorer("gpt-9")
