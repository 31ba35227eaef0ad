"""The training run of lesson 07 with its settings, for the bench and the tests.

Found on 2 cores (AMD EPYC, AVX2) on 2026-11-26, for the course model in fp32. Knows the course's notes; everything
else is in the modules below it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from labkit.facts import teaching_data
from labkit.models.finetuning import adapters, chat, loop

NOTES = 160
RANK, ALPHA = 8, 16
# The first ten of 30 layers are left as they are: as many notes right, in less time and memory (`with_adapter` says
# why). At 2e-3, the rate before, the upper layers alone forgot more.
FIRST_LAYER = 10
SETTINGS = loop.Settings(learning_rate=1.5e-3, batch=2, warmup=3)


def examples(split: str, tokenizer: Any, count: int | None = None) -> list[chat.Example]:
    """The first `count` notes of a split (all, unless given), encoded."""
    return [chat.encode(chat.messages(row), tokenizer) for row in teaching_data.load("notes", split)[:count]]


def adapter(model: Any, *, seed: int = 0) -> Any:
    """`model` with the lesson's adapter: LoRA of rank 8 on the attention matrices of all layers but the first ten."""
    return adapters.with_adapter(model, rank=RANK, alpha=ALPHA, first_layer=FIRST_LAYER, seed=seed)


def run(model: Any, tokenizer: Any, *, seed: int = 0, **options: Any) -> tuple[Any, loop.History]:
    """The lesson's training run: the model with its adapter, and the history. `options` are those of `train`."""
    settings = dataclasses.replace(SETTINGS, seed=seed)
    model, data = adapter(model, seed=seed), examples("train", tokenizer, NOTES)
    return model, loop.train(model, data, settings, pad=tokenizer.pad_token_id, **options)
