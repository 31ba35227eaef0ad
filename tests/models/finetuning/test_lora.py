"""The layer that lesson 07 writes is peft's; what an adapter costs, against peft's own count."""

from __future__ import annotations

import ast
import itertools

import nbformat
import pytest
import tiny
import torch

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.facts import catalogue
from labkit.models import families, finetuning
from tests.rows import every


def lessons_class():
    """LoRALinear as it stands in lesson 07, which learners copy."""
    notebook = nbformat.read(assets.notebook_dir() / "07_fine_tuning.ipynb", 4)
    source = next(cell.source for cell in notebook.cells if "class LoRALinear" in cell.source)
    body = [part for part in ast.parse(source).body if isinstance(part, ast.ClassDef)]
    space = {"torch": torch}
    exec(compile(ast.Module(body, []), "lesson 07", "exec"), space)
    assert body[0].end_lineno - body[0].lineno < 20
    return space["LoRALinear"]


@pytest.mark.skipif(assets.checkout() is None, reason="notebooks are in a checkout")
def test_the_lessons_own_class_is_pefts_layer_and_starts_as_the_layer_below():
    theirs = tiny.filled(tiny.adapted()).get_submodule("base_model.model.model.layers.1.self_attn.v_proj")
    ours, x = lessons_class()(theirs.base_layer, rank=4, alpha=8), torch.randn(3, 32)
    assert torch.equal(ours(x), theirs.base_layer(x))
    weights = {"A": theirs.lora_A.default.weight, "B": theirs.lora_B.default.weight}
    for name, weight in weights.items():
        getattr(ours, name).data = weight.data.clone()
    torch.testing.assert_close(ours(x), theirs(x))
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    for name, weight in weights.items():
        torch.testing.assert_close(getattr(ours, name).grad, weight.grad)
    assert ours.base.weight.grad is None


def test_what_is_added_has_the_rank_that_was_asked_for():
    layer = tiny.filled(lessons_class()(torch.nn.Linear(30, 20), rank=5, alpha=10))
    values = finetuning.spectrum((layer.B @ layer.A).detach())
    assert len(values) == 20
    assert all(value > 1e-3 for value in values[:5]) and all(value < 1e-4 for value in values[5:])


@every(
    itertools.product(
        ("smollm2-135m-instruct", "mistral-7b", "qwen2.5-0.5b-instruct"),
        (finetuning.ATTENTION, finetuning.ALL_LINEAR, ("q_proj", "v_proj")),
    )
)
def test_the_number_of_trained_parameters_is_pefts(row):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    name, targets = row
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(families.config(name))
        model = get_peft_model(model, LoraConfig(r=16, target_modules=list(targets), task_type="CAUSAL_LM"))
    shape = catalogue.get(name).shape
    assert finetuning.parameters(shape, 16, targets) == model.get_nb_trainable_parameters()[0]


def test_the_table_has_a_row_a_rank():
    table = finetuning.table(catalogue.get("smollm2-135m-instruct").shape, [1, 8, 64])
    assert list(table["rank"]) == [1, 8, 64] and list(table.trainable) == [115_200, 921_600, 7_372_800]
    assert table.adapter_mb[1] == pytest.approx(3.6864) and table.states_mb[1] == pytest.approx(11.0592)
    assert table.share[1] == pytest.approx(921_600 / 134_515_008)


@every([((8, ["lm_head"]), "choose among q_proj"), ((0,), "1 or more")])
def test_what_cannot_be_is_told(row):
    arguments, said = row
    with pytest.raises(LabError, match=said):
        finetuning.parameters(catalogue.get("mistral-7b").shape, *arguments)
