"""Lesson 01 counts parameters: its own definition and its own cell, run as they stand, give the published numbers."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import nbformat
import pytest
import torch

from labkit.base import assets
from labkit.models import families
from tests.rows import every

if assets.checkout() is None:
    pytest.skip("needs a checkout", allow_module_level=True)
PUBLISHED = {
    "smollm2-135m-instruct": 134_515_008,  # tied
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "mistral-7b": 7_241_732_096,
}


def run(cell_id: str, **names: Any) -> tuple[dict[str, Any], str]:
    """A cell of the lesson, run with these names: what it defined, and what it printed."""
    cells = nbformat.read(assets.notebook_dir() / "01_open_models.ipynb", 4).cells
    source = next(cell.source for cell in cells if cell.id == cell_id)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(source, cell_id, "exec"), names)
    return names, printed.getvalue()


@every(PUBLISHED)
def test_the_formula_of_the_lesson_counts_tied_and_untied_models(name):
    config = families.config(name).to_dict()
    defined, _ = run("count", config=config, shapes={}, torch=torch)
    assert sum(defined["count"](config).values()) == PUBLISHED[name]
    assert (defined["count"](config)["output"] == 0) is config["tie_word_embeddings"]


def test_a_tied_matrix_that_a_file_stores_twice_is_counted_as_the_hub_counts_it():
    from transformers import AutoModelForCausalLM

    names = {"families": families, "torch": torch, "AutoModelForCausalLM": AutoModelForCausalLM}
    _, printed = run("tied", **names)
    assert "596,049,920 parameters; 751,632,384 numbers in the file" in printed and "tied: True" in printed
