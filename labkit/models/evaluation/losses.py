"""How well a model predicts a text: perplexity by a stated protocol, and the distance between two models' predictions.

The protocol, the same for every engine: the text is documents of tokens; a window of `window` tokens moves over each by
`stride`; each token is scored once, with all that its window holds before it; the first of a document is not scored.
Logits are computed in pieces: a vocabulary of 49,152 in fp32 is 0.2 MB a token. Knows nothing of how a model was made.
Source of the sliding window: https://huggingface.co/docs/transformers/perplexity (seen 2026-11-23)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.base import assets
from labkit.base.errors import LabError
from labkit.base.progress_bar import bar
from labkit.facts import memory

if TYPE_CHECKING:
    import torch

REGISTERS = ("story", "report", "dialogue", "instructions", "encyclopedia", "code", "letters")
_PIECE = 128  # positions whose logits are in memory at once


@dataclass(frozen=True)
class Perplexity:
    """`value` is exp of the mean loss in nats; `low` and `high` are it for the mean two standard errors off.

    The spread is that of tokens: another text of this kind would give another value. Two methods on the same tokens
    can be told apart even where their spreads overlap: compare them token by token.
    """

    value: float
    low: float
    high: float
    tokens: int
    window: int
    stride: int

    def __repr__(self) -> str:
        spread = f"{self.low:.1f} to {self.high:.1f}"
        return f"perplexity {self.value:.2f} ({spread}; {self.tokens:,} tokens, window {self.window})"


def course_text(tokenizer: Any, tokens: int = 2048) -> dict[str, torch.Tensor]:
    """The course's text for evaluation as token ids: an equal share of `tokens` from the start of each register.

    Seven registers from a story to code, written for the course (assets/evaluation/README.md); about 6,600 tokens of
    the course model in all. LabError when so many are not there.
    """
    import torch

    share = tokens // len(REGISTERS)
    documents = {}
    for name in REGISTERS:
        text = assets.path("evaluation", "text", f"{name}.txt").read_text(encoding="utf-8")
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if not 2 <= share <= len(ids):
            raise LabError(f"The course's text has {len(ids)} tokens of {name}: ask for 14 to {len(ids) * 7} tokens.")
        documents[name] = torch.tensor(ids[:share])
    return documents


def token_losses(
    model: Any, documents: Any, *, window: int = 512, stride: int | None = None, quiet: bool = False
) -> torch.Tensor:
    """The loss of every scored token in nats, -log p(token), in the order of the text; fp32, on the CPU.

    `stride` is the window unless given. LabError for a window that the model cannot read or that scores nothing.
    """
    import torch

    stride = _checked(memory.context_of(model.config), window, stride)
    losses, parts = [], [part for ids in each(documents) for part in windows(ids, window, stride)]
    for inputs, first in bar(parts, "Scoring the text", quiet=quiet):
        for start, logits in _logits(model, inputs, first):
            targets = inputs[start + 1 : start + 1 + len(logits)]
            losses.append(torch.nn.functional.cross_entropy(logits, targets, reduction="none"))
    return torch.cat(losses)


def perplexity(
    model: Any, documents: Any, *, window: int = 512, stride: int | None = None, quiet: bool = False
) -> Perplexity:
    """The perplexity of a transformers model on documents of token ids, `{name: ids}`, a list, or one tensor."""
    return from_losses(token_losses(model, documents, window=window, stride=stride, quiet=quiet), window, stride)


def from_losses(losses: torch.Tensor, window: int, stride: int | None = None) -> Perplexity:
    """The perplexity of losses in nats that were measured in any way."""
    mean, count = losses.double().mean().item(), len(losses)
    error = losses.double().std().item() / math.sqrt(count) if count > 1 else 0.0
    low, high = math.exp(mean - 2 * error), math.exp(mean + 2 * error)
    return Perplexity(math.exp(mean), low, high, count, window, stride or window)


def windows(ids: torch.Tensor, window: int, stride: int) -> Iterator[tuple[torch.Tensor, int]]:
    """The windows over one document: their tokens, and from which of them on the next one is scored.

    >>> import torch
    >>> [(w.tolist(), first) for w, first in windows(torch.arange(7), window=4, stride=2)]
    [([0, 1, 2, 3], 0), ([2, 3, 4, 5], 1), ([4, 5, 6], 1)]
    """
    scored = 0  # the last token that has its loss
    for begin in range(0, len(ids) - 1, stride):
        inputs = ids[begin : begin + window]
        if begin + len(inputs) - 1 > scored:
            yield inputs, max(scored, begin) - begin
            scored = begin + len(inputs) - 1


def distributions(model: Any, ids: torch.Tensor, *, tokens: int = 256) -> torch.Tensor:
    """What a model expects after each of the first `tokens` tokens: log-probabilities (tokens, vocabulary), fp32.

    256 tokens are 50 MB for the course model.
    """
    import torch

    pieces = [logits.log_softmax(-1) for _, logits in _logits(model, ids[: tokens + 1], 0)]
    return torch.cat(pieces)


@dataclass(frozen=True)
class Distance:
    """How far one model's predictions are from another's, over the same tokens.

    `kl` is the mean Kullback-Leibler divergence in nats, 0 for the same predictions; `low` and `high` are two standard
    errors off; `same_first` is the share of tokens where both expect the same token most.
    """

    kl: float
    low: float
    high: float
    same_first: float


def kl_divergence(full: torch.Tensor, other: torch.Tensor) -> Distance:
    """The distance of `other` from `full`, both from `distributions` on the same tokens. LabError if shapes differ."""
    if full.shape != other.shape:
        raise LabError(f"Distributions of {list(full.shape)} and {list(other.shape)} are not of the same tokens.")
    import torch

    each: list[float] = []
    for a, b in zip(full.split(32), other.split(32), strict=True):  # a copy of 256 x 49,152 numbers is 50 MB
        each += torch.nn.functional.kl_div(b, a, reduction="none", log_target=True).sum(-1).tolist()
    mean = sum(each) / len(each)
    error = math.sqrt(sum((value - mean) ** 2 for value in each) / max(1, len(each) - 1) / len(each))
    same = (full.argmax(-1) == other.argmax(-1)).float().mean().item()
    return Distance(mean, mean - 2 * error, mean + 2 * error, same)


def each(documents: Any) -> list[torch.Tensor]:
    """The documents as a list, whatever they came in; LabError when there is nothing to score."""
    import torch

    if isinstance(documents, torch.Tensor):
        documents = [documents]
    found = list(documents.values()) if isinstance(documents, Mapping) else list(documents)
    if not found or any(len(ids) < 2 for ids in found):
        raise LabError("There is nothing to score: each document needs two tokens or more.")
    return found


def _checked(context: int, window: int, stride: int | None) -> int:
    stride = window if stride is None else stride
    if not 2 <= window <= context or not 1 <= stride <= window:
        raise LabError(f"window={window} and stride={stride} do not work: 2 to {context} tokens, moved by 1 to window.")
    # The last token of a window is only read: moving by the whole window would leave one out at each border.
    return min(stride, window - 1)


def _logits(model: Any, inputs: torch.Tensor, first: int) -> Iterator[tuple[int, torch.Tensor]]:
    """Logits at positions `first` to the last but one, in pieces: (start, (positions, vocabulary) in fp32)."""
    import torch

    with torch.inference_mode():
        body, head = model.base_model, model.get_output_embeddings()
        hidden = body(input_ids=inputs[None].to(model.device), use_cache=False).last_hidden_state[0]
        for start in range(first, len(inputs) - 1, _PIECE):
            yield start, head(hidden[start : min(start + _PIECE, len(inputs) - 1)]).float().cpu()
