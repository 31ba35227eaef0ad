"""DPO by hand: the formula, the reference inside the model, and that it moves what it should."""

from __future__ import annotations

import math

import pytest
import tiny
import torch

from labkit.base.errors import LabError
from labkit.models import finetuning
from labkit.models.finetuning import preferences


def pairs(count=12):
    """Chosen answers repeat the prompt's first tokens; rejected ones are others of the same prompt."""
    found = []
    for chosen in tiny.examples(count):
        labels = [label if label < 3 else 3 + (label + 20) % 61 for label in chosen["labels"]]
        asked = [t for t, label in zip(chosen["input_ids"], chosen["labels"], strict=True) if label < 0]
        found.append((chosen, {"input_ids": asked + [label for label in labels if label >= 0], "labels": labels}))
    return found


def test_log_probabilities_are_the_sum_over_the_answer():
    model, examples = tiny.model(), tiny.examples(3)
    found = finetuning.log_probabilities(model, finetuning.collate(examples, pad=2))
    for value, example in zip(found, examples, strict=True):
        whole = model(torch.tensor([example["input_ids"]])).logits[0].log_softmax(-1)
        by_hand = sum(whole[at - 1, label] for at, label in enumerate(example["labels"]) if label >= 0)
        torch.testing.assert_close(value, by_hand)


def test_the_loss_is_equation_seven():
    values = [torch.tensor([v]) for v in (-3.0, -5.0, -4.0, -4.5)]
    margin = (-3.0 + 5.0) - (-4.0 + 4.5)
    assert preferences.dpo_loss(*values, beta=0.3).item() == pytest.approx(-math.log(1 / (1 + math.exp(-0.3 * margin))))
    same = torch.tensor([-2.0, -7.0])
    assert preferences.dpo_loss(same, same - 3, same, same - 3).item() == pytest.approx(math.log(2))


def test_gradients_raise_the_chosen_and_lower_the_rejected():
    chosen, rejected = torch.tensor([-3.0], requires_grad=True), torch.tensor([-3.0], requires_grad=True)
    preferences.dpo_loss(chosen, rejected, torch.tensor([-3.0]), torch.tensor([-3.0])).backward()
    assert chosen.grad.item() == pytest.approx(-0.05) and rejected.grad.item() == pytest.approx(0.05)


def test_it_learns_to_prefer_the_chosen_answers_and_leaves_the_model_below_alone():
    model = tiny.adapted()
    below = {name: value.clone() for name, value in model.named_parameters() if not value.requires_grad}
    before = preferences.accuracy(model, pairs(), pad=2)["per token"]
    losses = preferences.train_dpo(model, pairs(), pad=2, steps=40, batch=2, beta=0.5, learning_rate=0.02)
    assert losses[0] == pytest.approx(math.log(2), abs=1e-5)
    assert sum(losses[-5:]) < 0.8 * 5 * math.log(2)
    assert preferences.accuracy(model, pairs(), pad=2)["per token"] > max(before, 0.9)
    assert all(torch.equal(value, below[name]) for name, value in model.named_parameters() if name in below)
    assert losses == preferences.train_dpo(
        tiny.adapted(), pairs(), pad=2, steps=40, batch=2, beta=0.5, learning_rate=0.02
    )


def test_length_counts_unless_it_is_divided_out():
    model = tiny.model()
    short, long = ({"input_ids": [5, 6] + [9] * n, "labels": [-100, -100] + [9] * n} for n in (1, 9))
    alone = [finetuning.log_probabilities(model, finetuning.collate([one], pad=2)).item() for one in (short, long)]
    found = preferences.accuracy(model, [(long, short)], pad=2)
    assert found == {"per token": float(alone[1] / 9 > alone[0]), "in all": 0}
    assert preferences.accuracy(model, [(short, long), (long, short)], pad=2) == {"per token": 0.5, "in all": 0.5}


def test_a_model_without_an_adapter_or_data_is_refused():
    with pytest.raises(LabError, match="can be switched off"):
        preferences.train_dpo(tiny.model(), pairs(), pad=2)
    with pytest.raises(LabError, match="too few"):
        preferences.train_dpo(tiny.adapted(), pairs(1), pad=2, batch=2)


@pytest.mark.parametrize("training", ["train", "train_dpo"])
def test_training_leaves_out_the_kernel_whose_gradients_may_be_no_numbers(training):
    torch.backends.cuda.enable_cudnn_sdp(True)
    if training == "train":
        finetuning.train(tiny.adapted(), tiny.examples(4), quiet=True, pad=2)
    else:
        preferences.train_dpo(tiny.adapted(), pairs(2), pad=2, steps=1)
    assert not torch.backends.cuda.cudnn_sdp_enabled()
