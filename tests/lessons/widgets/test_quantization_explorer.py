"""The quantization explorer without a browser: its controls set, its HTML read."""

import re

import pytest
import torch

import labkit
from labkit.base.errors import LabError
from labkit.models import quantization

WEIGHTS = torch.randn(64, 256, generator=torch.Generator().manual_seed(1)) / 10


def html(view) -> str:
    return view.parts["output"].value


def heights(view) -> list[float]:
    return [float(height) for height in re.findall(r"height:([\d.]+)%", html(view))]


def test_it_shows_what_the_function_says():
    view = labkit.widgets.quantization_explorer(WEIGHTS)
    for bits, name, block in ((4, "64", 64), (8, "row", "channel"), (2, "whole tensor", None)):
        view.parts["bits"].value, view.parts["block"].value = bits, name
        quantized = quantization.absmax(WEIGHTS, bits, block)
        error = quantization.relative_error(WEIGHTS, quantized.dequantize())
        assert f"<b>{error:.2%} error</b>" in html(view)
        assert f"{quantized.bits_per_weight:.2f} bits a weight" in html(view)
        assert f"absmax(weights, {bits}, " in html(view)


def test_the_other_codes():
    view = labkit.widgets.quantization_explorer(WEIGHTS, bits=3)
    seen = {html(view)}
    for scheme, call in (("zero-point", "zero_point(weights, 3, 64)"), ("NF4", "nf4(weights, 64)")):
        view.parts["scheme"].value = scheme
        assert call in html(view)
        seen.add(html(view))
    assert len(seen) == 3 and "the slider for bits does not count" in html(view)


def test_the_bars_before_stay_and_those_after_become_few():
    view = labkit.widgets.quantization_explorer(WEIGHTS, bits=8, block=None)
    fine = heights(view)
    view.parts["bits"].value = 2
    coarse = heights(view)
    assert len(fine) == len(coarse) == 96 and fine[:48] == coarse[:48]
    assert sum(height > 0 for height in coarse[48:]) == 3  # -1, 0 and 1
    assert "after: 3 of 48 places hold weights" in html(view)


def test_nonsense_is_said_in_words():
    view = labkit.widgets.quantization_explorer(torch.tensor([[float("nan")]]))
    assert "That did not work.</b> There is nothing to quantize" in html(view)


def test_more_weights_than_answer_at_once_are_refused_in_words():
    with pytest.raises(LabError, match="take some rows"):
        labkit.widgets.quantization_explorer(torch.zeros(2001, 2000))


@pytest.mark.parametrize("weights", [torch.zeros(2, 4), torch.ones(1, 1)])
def test_the_smallest_cases(weights):
    assert "0.00% error" in html(labkit.widgets.quantization_explorer(weights))
