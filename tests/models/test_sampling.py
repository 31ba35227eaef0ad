"""Our rules are the library's rules: compared with transformers' own processors on random and on real scores."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from labkit.base.errors import LabError
from labkit.models import sampling

RULES = st.fixed_dictionaries(
    {"temperature": st.floats(0.1, 3)},
    optional={
        "top_k": st.integers(1, 60),
        "top_p": st.floats(0.05, 1.0),
        "min_p": st.floats(0.0, 0.5),
        "repetition_penalty": st.floats(0.5, 2.0),
    },
)


def library(logits: torch.Tensor, previous: list[int], rules: dict) -> torch.Tensor:
    """The same rules by transformers, in the order in which `generate` builds them."""
    steps = LogitsProcessorList()
    if rules.get("repetition_penalty", 1.0) != 1.0:
        steps.append(RepetitionPenaltyLogitsProcessor(rules["repetition_penalty"]))
    steps.append(TemperatureLogitsWarper(rules["temperature"]))
    for name, step in (("top_k", TopKLogitsWarper), ("top_p", TopPLogitsWarper), ("min_p", MinPLogitsWarper)):
        if name in rules:
            steps.append(step(rules[name]))
    return steps(torch.tensor([previous]), logits[None].clone())[0].softmax(-1)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 30), rules=RULES)
def test_random_scores(seed, scale, rules):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(50, generator=generator) * scale
    previous = torch.randint(50, (7,), generator=generator).tolist()
    ours = sampling.probabilities(logits, previous=previous, **rules)
    assert torch.allclose(ours, library(logits, previous, rules), atol=1e-6)
    assert ours.sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("rules", [{"top_p": 0.9}, {"min_p": 0.05}, {"top_k": 40, "top_p": 0.95}, {}])
def test_real_scores(pair, rules):
    logits = sampling.next_logits(*pair, "Once upon a time")
    rules = {"temperature": 0.8, **rules}
    assert torch.allclose(sampling.probabilities(logits, **rules), library(logits, [1], rules), atol=1e-6)


def test_temperature_zero_is_greedy():
    assert sampling.probabilities(torch.tensor([1.0, 3.0, 2.0]), temperature=0).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1}, {"top_k": 0}, {"top_p": 0}, {"top_p": 1.1}, {"min_p": -0.1}, {"repetition_penalty": 0}],
)
def test_values_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(LabError, match=next(iter(wrong))):
        sampling.probabilities(torch.zeros(3), **wrong)


def test_scores_of_several_positions_are_refused():
    with pytest.raises(LabError, match=r"not \(1, 3\)"):
        sampling.probabilities(torch.zeros(1, 3))


def test_next_tokens_ranks_and_marks_what_is_cut(pair):
    table = sampling.next_tokens(*pair, "The capital of France is", n=5, top_k=2)
    assert table.token.iloc[0] == " Paris"
    assert table.probability.is_monotonic_decreasing
    assert (table.drawn > 0).tolist() == [True, True, False, False, False]
    assert table.drawn.sum() == pytest.approx(1)


def test_an_empty_prompt_is_refused(pair):
    with pytest.raises(LabError, match="prompt is empty"):
        sampling.next_tokens(*pair, "")


def test_the_tokenizer_alone_is_enough_for_a_table(pair):
    table = sampling.ranked(torch.arange(49152.0), pair[1], n=3)
    assert table.id.tolist() == [49151, 49150, 49149]
