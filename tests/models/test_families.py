"""Three families on the same weights: what must stay the same, what grows, and what training a router changes."""

from __future__ import annotations

import functools
import time

import pytest

from labkit.base.errors import LabError
from labkit.facts import catalogue, memory
from labkit.models import families

TEXT = "The lighthouse keeper climbed the stairs and looked at the sea."
SEEDS = {
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "mistral-7b": 7_241_732_096,
    "mixtral-8x7b": 46_702_792_704,
}

TINY = memory.Shape(1, 8, 2, 2, 4, 8, 8, tied=True)


upcycled = functools.cache(families.as_mixtral)


@pytest.fixture
def llama(pair):
    return pair[0]


@pytest.fixture
def mixtral(llama):
    return upcycled(llama)


@pytest.fixture
def ids(pair):
    return pair[1](TEXT, return_tensors="pt")["input_ids"]


@pytest.fixture
def logits(ids):
    """What a model expects after each token; asked once a model."""
    return functools.partial(_logits, tuple(ids[0].tolist()))


@functools.cache
def _logits(ids, model):
    import torch

    with torch.inference_mode():
        return model(torch.tensor([ids])).logits


def memory_of(*tensors) -> int:
    """Bytes that tensors really take: a storage that several share counts once."""
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())


@pytest.mark.parametrize("name", SEEDS)
def test_the_seeds_of_the_course_to_the_last_digit(name):
    import torch
    from transformers import AutoModelForCausalLM

    settings = families.config(name)
    AutoModelForCausalLM.from_config(families.config_of("llama", TINY))  # imports what is imported once
    began = time.process_time()  # the processor's time: another program on the machine does not count
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(settings)
    assert time.process_time() - began < 2
    assert sum(parameter.numel() for parameter in model.parameters()) == SEEDS[name]
    entry = catalogue.get(name)
    assert (model.num_parameters(), type(model).__name__) == (entry.parameters, entry.architecture)
    assert model.config.max_position_embeddings == entry.context


def test_mistral_is_llama_to_the_last_bit_and_shares_its_memory(llama, logits):
    import torch

    mistral = families.as_mistral(llama)
    assert type(mistral).__name__ == "MistralForCausalLM"
    assert torch.equal(logits(mistral), logits(llama))
    assert memory_of(*llama.parameters(), *mistral.parameters()) == memory_of(*llama.parameters())


def test_a_sliding_window_changes_what_far_tokens_see(llama, logits):
    import torch

    windowed = families.as_mistral(llama, window=4)
    assert torch.equal(logits(windowed)[:, :4], logits(llama)[:, :4])
    assert not torch.allclose(logits(windowed)[:, -1], logits(llama)[:, -1], atol=0.1)


def test_an_upcycled_mixtral_answers_as_before(llama, mixtral, logits, ids):
    assert type(mixtral).__name__ == "MixtralForCausalLM"
    assert (logits(mixtral) - logits(llama)).abs().max() < 1e-3
    same = [model.generate(ids, max_new_tokens=8, do_sample=False)[0].tolist() for model in (llama, mixtral)]
    assert same[0] == same[1]


def test_parameters_grow_and_active_ones_do_not_double(llama, mixtral):
    shape = memory.shape_of(mixtral.config)
    total = sum(parameter.numel() for parameter in mixtral.parameters())
    assert total == memory.parameter_count(shape) == 373_462_848
    assert llama.num_parameters() < memory.active_parameter_count(shape) < 2 * llama.num_parameters()


@pytest.mark.slow
def test_eight_experts_take_no_more_memory_than_four(llama, mixtral, logits):
    eight = families.as_mixtral(llama, experts=8)
    extra = [memory_of(*llama.parameters(), *model.parameters()) for model in (mixtral, eight)]
    assert extra[1] - extra[0] < 1e6  # four more rows in each router
    assert (logits(eight) - logits(llama)).abs().max() < 1e-3


@pytest.mark.slow
def test_a_perturbed_layer_is_memory_of_its_own_and_a_trained_router_lowers_the_loss(llama, logits, ids):
    import torch

    mixtral, before = families.as_mixtral(llama), logits(llama)
    held = memory_of(*llama.parameters(), *mixtral.parameters())
    families.perturb(mixtral, 12, scale=1.0)
    grown = memory_of(*llama.parameters(), *mixtral.parameters()) - held
    # Four experts of three matrices in fp32; the one copy of gate and up that they shared before is given back.
    assert grown == (4 * 3 - 2) * 576 * 1536 * 4
    assert torch.equal(logits(llama), before)
    assert (logits(mixtral) - before).abs().max() > 0.1

    frozen = {name: value.clone() for name, value in mixtral.named_parameters() if "layers.11." in name}
    losses = families.train_router(mixtral, 12, ids, steps=8)
    assert losses[-1] < losses[0]
    assert all(torch.equal(value, mixtral.get_parameter(name)) for name, value in frozen.items())
    assert not any(parameter.requires_grad for parameter in mixtral.parameters())


def test_router_choices_are_told_for_each_token(mixtral, pair):
    table = families.router_choices(mixtral, pair[1], "One two three", layers=[0, 29])
    assert list(table.columns) == ["layer", "position", "token", "experts", "shares"]
    assert table.token.tolist() == ["One", " two", " three"] * 2
    assert all(len(set(chosen)) == 2 and set(chosen) <= set(range(4)) for chosen in table.experts)
    assert all(sum(shares) == pytest.approx(1, abs=0.002) and shares[0] >= shares[1] for shares in table.shares)


@pytest.mark.parametrize("wrong", [{"experts": 2, "active": 3}, {"active": 0}])
def test_impossible_numbers_of_experts_are_refused(llama, wrong):
    with pytest.raises(LabError, match="active must be from 1"):
        families.as_mixtral(llama, **wrong)


def test_what_cannot_be_is_said(mixtral, pair):
    with pytest.raises(LabError, match="layers 0 to 29"):
        families.perturb(mixtral, 30, scale=1.0)
    with pytest.raises(LabError, match="Only a Llama model"):
        families.as_mistral(mixtral)
    with pytest.raises(LabError, match="no model"):
        families.config("gpt-4")
    with pytest.raises(LabError, match="no text"):
        families.router_choices(mixtral, pair[1], "")
    with pytest.raises(LabError, match="layers 0 to 29"):
        families.router_choices(mixtral, pair[1], "The", layers=[99])
    with pytest.raises(LabError, match="no experts"):
        families.router_choices(pair[0], pair[1], "The")
    with pytest.raises(LabError, match="window of 0"):
        families.as_mistral(pair[0], window=0)
    assert set(families.router_choices(mixtral, pair[1], "The", layers=15).layer) == {15}
