"""The Hub search without a browser: fields set, HTML read. The client must meet the course's Hub before it is imported,
so the widget lives in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys
import labkit
labkit.start("03")
view, seen = labkit.widgets.hub_search(free_gb=4), []
seen.append(view.parts["output"].value)
for changes in json.loads(sys.argv[1]):
    for name, value in changes.items():
        view.parts[name].value = value
    seen.append(view.parts["output"].value)
print(json.dumps([repr(view), *seen]))
"""
CHANGES = [
    {"licence": "apache-2.0", "billions": 2.0},
    {"dtype": "int4"},
    {"free_gb": 0.1},
    {"text": "<b>no such model</b>"},
    {"text": "", "free_gb": 4.0, "licence": "llama2", "billions": 80.0},
    {"free": True},
]


@pytest.fixture(scope="module")
def seen(_cache_with_model):
    environment = {**os.environ, "LABKIT_CACHE": str(_cache_with_model), "PYTHONUTF8": "1"}
    command = [sys.executable, "-c", PROGRAM, json.dumps(CHANGES)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_it_begins_with_models_that_converse(seen):
    name, first, *_ = seen
    assert name == "<Hub search: run this cell to use it>"
    assert "HuggingFaceTB/SmolLM2-135M-Instruct" in first and "fit 4 GB" in first


def test_filters_and_precision_change_what_fits(seen):
    small, four_bits, hardly = seen[2:5]
    assert "gemma" not in small and "too large" not in four_bits and "too large" in hardly
    assert "0.3 GB: <b>fits</b>" in small and "0.1 GB: <b>fits</b>" in four_bits


def test_what_is_typed_stays_text_and_an_empty_answer_is_said(seen):
    assert "No model is like that" in seen[5] and "<b>no such" not in seen[5]


def test_the_large_are_too_large_and_gated_ones_can_be_left_out(seen):
    assert "LLaMA" not in seen[6] and "Llama-2-70b-chat-hf" in seen[6] and "gated" in seen[6]
    assert "width:100.00%" in seen[6]
    assert "No model is like that" in seen[7]
