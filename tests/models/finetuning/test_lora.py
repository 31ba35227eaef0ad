"""LoRA by hand against the definition and against peft."""

from __future__ import annotations

import ast
import copy

import nbformat
import pytest
import tiny
import torch

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.facts import catalogue
from labkit.models import families, finetuning


def ids():
    return torch.tensor([[5, 9, 13, 21, 34, 8]])


def filled(model, seed=1):
    """Random numbers in every trainable matrix: at the start B is zero and would hide mistakes."""
    torch.manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = torch.randn_like(parameter) * 0.2
    return model


def test_at_first_nothing_has_changed():
    model = tiny.model()
    before = model(ids()).logits
    names = finetuning.add(model, rank=4)
    assert len(names) == 8 and torch.equal(model(ids()).logits, before)


def test_gradients_are_in_a_and_b_only():
    model = tiny.model()
    finetuning.add(model, rank=4)
    filled(model)(ids(), labels=ids()).loss.backward()
    with_gradient = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    assert with_gradient == trainable
    assert {name.rpartition(".")[2] for name in trainable} == {"A", "B"} and len(trainable) == 16


def test_merge_and_unmerge_are_exact_to_rounding():
    torch.manual_seed(0)
    base = torch.nn.Linear(24, 40)
    untouched = copy.deepcopy(base.weight.data)
    layer = filled(finetuning.lora_linear(base, rank=3, alpha=6))
    x = torch.randn(5, 24)
    outside = layer(x)
    merged = layer.merge()
    assert isinstance(merged, torch.nn.Linear)
    assert not torch.allclose(merged.weight, untouched, atol=1e-3)
    torch.testing.assert_close(merged(x), outside)
    layer.unmerge()
    torch.testing.assert_close(base.weight.data, untouched, rtol=0, atol=1e-6)
    torch.testing.assert_close(layer(x), outside)


def test_it_computes_what_peft_computes_forwards_and_backwards():
    ours, theirs = tiny.model(), filled(tiny.adapted())
    finetuning.add(ours, rank=4, alpha=8)
    weights = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        if parameter.requires_grad:
            place, _, which = name.rpartition(".")
            parameter.data = weights[f"base_model.model.{place}.lora_{which}.default.weight"].data.clone()
    one, other = ours(ids(), labels=ids()), theirs(ids(), labels=ids())
    torch.testing.assert_close(one.logits, other.logits)
    one.loss.backward()
    other.loss.backward()
    for name, parameter in ours.named_parameters():
        if parameter.requires_grad:
            place, _, which = name.rpartition(".")
            gradient = weights[f"base_model.model.{place}.lora_{which}.default.weight"].grad
            torch.testing.assert_close(parameter.grad, gradient)


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
    theirs = filled(tiny.adapted()).get_submodule("base_model.model.model.layers.1.self_attn.v_proj")
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
    layer = filled(finetuning.lora_linear(torch.nn.Linear(30, 20), rank=5, alpha=10))
    values = finetuning.spectrum(layer.change())
    assert len(values) == 20
    assert all(value > 1e-3 for value in values[:5]) and all(value < 1e-4 for value in values[5:])


@pytest.mark.parametrize("targets", [finetuning.ATTENTION, finetuning.ALL_LINEAR, ("q_proj", "v_proj")])
@pytest.mark.parametrize("name", ["smollm2-135m-instruct", "mistral-7b", "qwen2.5-0.5b-instruct"])
def test_the_number_of_trained_parameters_is_pefts(name, targets):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

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
    assert finetuning.full_parameters(catalogue.get("smollm2-135m-instruct").shape) == 30 * (2 * 576**2 + 2 * 576 * 192)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: finetuning.lora_linear(torch.nn.Linear(8, 4), rank=5), "1 to 4"),
        (lambda: finetuning.lora_linear(torch.nn.Linear(8, 4), rank=0), "1 to 4"),
        (lambda: finetuning.add(tiny.model(), targets=["attn"]), "this model has down_proj"),
        (lambda: finetuning.parameters(catalogue.get("mistral-7b").shape, 0), "1 or more"),
        (lambda: finetuning.parameters(catalogue.get("mistral-7b").shape, 8, ["lm_head"]), "choose among q_proj"),
    ],
)
def test_what_cannot_be_is_told(call, said):
    with pytest.raises(LabError, match=said):
        call()
