"""From scores to the next token: temperature, top-k, top-p, min-p, repetition penalty, as transformers does them.

Plain functions on tensors; the same rules in the same order as the library's `generate`, which the tests compare with.
Knows nothing of loops or of chat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labkit.base.errors import LabError

if TYPE_CHECKING:
    import pandas
    import torch


def probabilities(
    logits: torch.Tensor,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    previous: Sequence[int] = (),
) -> torch.Tensor:
    """The probability of each next token: shape (vocabulary,), sums to 1, exactly 0 for tokens that a rule cuts.

    `logits` has shape (vocabulary,). Temperature 0 means greedy: all probability on the best token. The rules apply in
    the library's order: penalty (on the tokens of `previous`), temperature, top-k, top-p, min-p. LabError for a value
    out of range, or for logits of another shape.
    """
    import torch

    _check(temperature, top_k, top_p, min_p, repetition_penalty)
    if logits.ndim != 1:
        raise LabError(
            f"logits must have shape (vocabulary,), not {tuple(logits.shape)}: take one row, as logits[0, -1]."
        )
    scores = logits.float().clone()
    if repetition_penalty != 1.0 and len(previous):
        seen = torch.tensor(sorted(set(map(int, previous))), device=scores.device)
        # A positive score is divided and a negative one multiplied: both make the token less likely.
        scores[seen] = torch.where(
            scores[seen] > 0, scores[seen] / repetition_penalty, scores[seen] * repetition_penalty
        )
    if temperature == 0:
        return torch.nn.functional.one_hot(scores.argmax(), len(scores)).float()
    scores = scores / temperature
    if top_k is not None:
        scores = scores.masked_fill(scores < scores.topk(min(top_k, len(scores))).values[-1], -torch.inf)
    if top_p is not None:
        scores = _cut_top_p(scores, top_p)
    if min_p is not None:
        shares = scores.softmax(-1)
        scores = scores.masked_fill(shares < min_p * shares.max(), -torch.inf)
    return scores.softmax(-1)


def _cut_top_p(scores: torch.Tensor, top_p: float) -> torch.Tensor:
    """Cut the worst tokens as long as together they have at most 1 - top_p; the best one always stays."""
    import torch

    ordered, places = scores.sort(descending=False)
    cut = ordered.softmax(-1).cumsum(-1) <= 1 - top_p
    cut[-1] = False
    return scores.masked_fill(torch.zeros_like(cut).scatter(0, places, cut), -torch.inf)


def _check(
    temperature: float, top_k: int | None, top_p: float | None, min_p: float | None, repetition_penalty: float
) -> None:
    if temperature < 0:
        raise LabError(f"temperature must be 0 or more, not {temperature}.")
    if top_k is not None and top_k < 1:
        raise LabError(f"top_k must be 1 or more, not {top_k}.")
    if top_p is not None and not 0 < top_p <= 1:
        raise LabError(f"top_p must be above 0 and at most 1, not {top_p}.")
    if min_p is not None and not 0 <= min_p <= 1:
        raise LabError(f"min_p must be from 0 to 1, not {min_p}.")
    if repetition_penalty <= 0:
        raise LabError(f"repetition_penalty must be above 0, not {repetition_penalty}.")


def next_logits(model: Any, tokenizer: Any, prompt: str) -> torch.Tensor:
    """The model's scores for the token after `prompt`, one run of the model: shape (vocabulary,), fp32, on the CPU.

    The tokenizer adds what it adds by itself: nothing for SmolLM2, the start token for LLaMA-2 and Mistral.
    """
    import torch

    if not prompt:
        raise LabError("The prompt is empty: write at least one word.")
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        return model(ids.to(model.device), logits_to_keep=1).logits[0, -1].float().cpu()


def next_tokens(model: Any, tokenizer: Any, prompt: str, *, n: int = 10, **settings: Any) -> pandas.DataFrame:
    """The `n` most likely next tokens after `prompt`: columns token, id, probability (before any rule) and drawn.

    `drawn` is the probability after the rules of `probabilities`, with which the token would be drawn: 0 means cut.
    """
    return ranked(next_logits(model, tokenizer, prompt), tokenizer, n=n, **settings)


def ranked(logits: torch.Tensor, tokenizer: Any, *, n: int = 10, **settings: Any) -> pandas.DataFrame:
    """The same table from scores that were computed before, so that a slider needs no new run of the model."""
    import pandas

    from labkit.facts.tokens import describe

    plain, drawn = logits.float().softmax(-1), probabilities(logits, **settings)
    best = plain.topk(min(n, len(plain))).indices.tolist()
    rows = [(describe(token, tokenizer).text, token, float(plain[token]), float(drawn[token])) for token in best]
    return pandas.DataFrame(rows, columns=["token", "id", "probability", "drawn"])
