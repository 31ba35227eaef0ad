"""Learning from pairs: DPO's loss by hand, and how often a model prefers the chosen answer.

Rafailov et al. 2023, "Direct Preference Optimization", https://arxiv.org/abs/2305.18290, equation 7. The reference
model is the same model with its adapter switched off, so there is one set of weights in memory.
Knows pairs and probabilities, and the fields of the course's tone data.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labkit.base import workarounds
from labkit.base.errors import LabError
from labkit.models.finetuning import chat

if TYPE_CHECKING:
    import torch

Pair = tuple[chat.Example, chat.Example]


def encode_pair(row: Mapping[str, str], tokenizer: Any) -> Pair:
    """The chosen and the rejected conversation of a row (`prompt`, `chosen`, `rejected`), as training examples."""
    asked = {"role": "user", "content": row["prompt"]}
    both = [[asked, {"role": "assistant", "content": row[which]}] for which in ("chosen", "rejected")]
    return chat.encode(both[0], tokenizer), chat.encode(both[1], tokenizer)


def dpo_loss(
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    reference_chosen: torch.Tensor,
    reference_rejected: torch.Tensor,
    beta: float = 0.1,
) -> torch.Tensor:
    """The mean of -log sigmoid(beta x margin): the margin is how much more than the reference the model prefers the
    chosen answer. All four are log probabilities, shape (pairs,). At first margin 0, so the loss is log 2.
    """
    import torch

    margin = (chosen - rejected) - (reference_chosen - reference_rejected)
    return -torch.nn.functional.logsigmoid(beta * margin).mean()


def train_dpo(
    model: Any,
    pairs: Sequence[Pair],
    *,
    pad: int,
    steps: int = 40,
    batch: int = 1,
    beta: float = 0.1,
    learning_rate: float = 5e-4,
    seed: int = 0,
) -> list[float]:
    """Train the adapter of a peft model on pairs, in place; the loss of each step. Plain AdamW, no schedule.

    LabError when the model has no adapter to switch off, or there are fewer pairs than one step takes.
    """
    import torch

    if not hasattr(model, "disable_adapter"):
        raise LabError("DPO compares with the model as it was: put a peft adapter on it, which can be switched off.")
    if len(pairs) < batch or batch < 1 or steps < 1:
        raise LabError(f"{len(pairs)} pairs are too few for a batch of {batch}, or there is no step to do.")
    workarounds.avoid_cudnn_attention()
    draw, places, losses = random.Random(seed), [], []
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=learning_rate, weight_decay=0)
    model.train()
    for _ in range(steps):
        if len(places) < batch:
            places = draw.sample(range(len(pairs)), len(pairs))
        taken, places = [pairs[place] for place in places[:batch]], places[batch:]
        chosen, rejected, was_chosen, was_rejected = _four(model, taken, pad)
        loss = dpo_loss(chosen, rejected, was_chosen, was_rejected, beta)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def accuracy(model: Any, pairs: Sequence[Pair], *, pad: int, batch: int = 4) -> dict[str, float]:
    """In how many of the pairs the chosen answer is the likelier one, from 0 to 1, counted in two ways.

    "per token" divides each log probability by the length of its answer. "in all" does not: then the shorter answer
    wins nearly always.
    """
    import torch

    was_training, wins = model.training, {"per token": 0, "in all": 0}
    model.eval()
    for start in range(0, len(pairs), batch):
        part = pairs[start : start + batch]
        batches = [_batch(model, part, side, pad) for side in (0, 1)]
        with torch.inference_mode():
            chosen, rejected = (chat.log_probabilities(model, one) for one in batches)
        wins["in all"] += int((chosen > rejected).sum())
        lengths = [chat.answer_lengths(one) for one in batches]
        wins["per token"] += int((chosen / lengths[0] > rejected / lengths[1]).sum())
    model.train(was_training)
    return {way: won / len(pairs) for way, won in wins.items()}


def _four(model: Any, pairs: Sequence[Pair], pad: int) -> tuple[torch.Tensor, ...]:
    """The log probabilities of chosen and rejected answers, by the model and by the reference."""
    import torch

    now = [_side(model, pairs, side, pad) for side in (0, 1)]
    with torch.no_grad(), _without_adapter(model):
        before = [_side(model, pairs, side, pad) for side in (0, 1)]
    return (*now, *before)


@contextlib.contextmanager
def _without_adapter(model: Any):
    was_training = model.training
    model.eval()
    with model.disable_adapter():
        yield
    model.train(was_training)


def _side(model: Any, pairs: Sequence[Pair], side: int, pad: int) -> torch.Tensor:
    return chat.log_probabilities(model, _batch(model, pairs, side, pad))


def _batch(model: Any, pairs: Sequence[Pair], side: int, pad: int) -> dict[str, torch.Tensor]:
    """The chosen (side 0) or rejected (1) answers of the pairs."""
    return chat.batch_for(model, [pair[side] for pair in pairs], pad=pad)
